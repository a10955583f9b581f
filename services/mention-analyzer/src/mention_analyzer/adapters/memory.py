"""The repository in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from mention_analyzer.domain.models import Analysis, Answer, BrandSet
from mention_analyzer.domain.ports import RunKey


class MemoryAnalysisRepository:
    """Dictionaries, keyed by tenant first."""

    def __init__(self) -> None:
        self.brand_sets: dict[RunKey, BrandSet] = {}
        self.answers: dict[tuple[str, UUID], Answer] = {}
        self.analyses: dict[tuple[str, UUID, int, str], Analysis] = {}
        self._parked: dict[RunKey, list[Answer]] = {}

    async def save_brand_set(self, brand_set: BrandSet) -> BrandSet:
        """Keep the highest revision, of one revision the first."""
        key = (brand_set.tenant_id, brand_set.run_id)
        known = self.brand_sets.get(key)
        if known is None or known.revision < brand_set.revision:
            self.brand_sets[key] = brand_set
        return self.brand_sets[key]

    async def brands_of(self, runs: Sequence[RunKey]) -> Mapping[RunKey, BrandSet]:
        """Known runs only."""
        return {run: self.brand_sets[run] for run in runs if run in self.brand_sets}

    async def add_answers(self, answers: Sequence[Answer], *, parked: bool) -> None:
        """Keep the first text of an answer."""
        for answer in answers:
            key = (answer.tenant_id, answer.completion_id)
            if key in self.answers:
                continue
            self.answers[key] = answer
            if parked:
                self._parked.setdefault((answer.tenant_id, answer.run_id), []).append(answer)

    async def unpark(self, run: RunKey) -> Sequence[Answer]:
        """Take them once."""
        return sorted(self._parked.pop(run, []), key=lambda answer: answer.completion_id)

    async def answers_of(self, run: RunKey, after: Answer | None, limit: int) -> Sequence[Answer]:
        """By id."""
        own = [item for item in self.answers.values() if (item.tenant_id, item.run_id) == run]
        own.sort(key=lambda item: item.completion_id)
        return [i for i in own if after is None or i.completion_id > after.completion_id][:limit]

    async def add_analyses(self, analyses: Sequence[Analysis]) -> None:
        """Keep the first analysis of a revision and version."""
        for item in analyses:
            answer = item.answer
            key = (answer.tenant_id, answer.completion_id, item.revision, item.analyzer_version)
            self.analyses.setdefault(key, item)
