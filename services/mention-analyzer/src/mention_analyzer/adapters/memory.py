"""The repository in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from mention_analyzer.domain.models import Analysis, Answer, Brand, BrandSet
from mention_analyzer.domain.ports import RunKey


class MemoryAnalysisRepository:
    """Dictionaries, keyed by tenant first."""

    def __init__(self) -> None:
        self.brand_sets: dict[RunKey, tuple[Brand, ...]] = {}
        self.answers: dict[tuple[str, UUID], Answer] = {}
        self.analyses: dict[tuple[str, UUID, str], Analysis] = {}
        self._parked: dict[RunKey, list[Answer]] = {}

    async def save_brand_set(self, brand_set: BrandSet) -> None:
        """Keep the first set."""
        self.brand_sets.setdefault((brand_set.tenant_id, brand_set.run_id), brand_set.brands)

    async def brands_of(self, runs: Sequence[RunKey]) -> Mapping[RunKey, tuple[Brand, ...]]:
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

    async def add_analyses(self, analyses: Sequence[Analysis]) -> None:
        """Keep the first analysis of a version."""
        for item in analyses:
            key = (item.answer.tenant_id, item.answer.completion_id, item.analyzer_version)
            self.analyses.setdefault(key, item)
