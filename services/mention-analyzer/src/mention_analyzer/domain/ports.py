"""What the domain needs of a store, inside one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from mention_analyzer.domain.models import Analysis, Answer, BrandSet

RunKey = tuple[str, UUID]
"""Tenant and run: no lookup goes by the run alone."""


class AnalysisRepository(Protocol):
    """Brand sets, raw answers and analyses of all tenants."""

    async def save_brand_set(self, brand_set: BrandSet) -> BrandSet:
        """Store the brands of a run unless it has a set of the same or a higher revision.

        Returns the set that holds from now on. Waits for transactions that are parking answers of
        that run, so that ``unpark`` sees them.
        """

    async def brands_of(self, runs: Sequence[RunKey]) -> Mapping[RunKey, BrandSet]:
        """The brands of those runs that are known.

        They stay as they are, and unknown ones unknown, until the transaction ends.
        """

    async def add_answers(self, answers: Sequence[Answer], *, parked: bool) -> None:
        """Store raw answers; one that is stored already stays as it is."""

    async def unpark(self, run: RunKey) -> Sequence[Answer]:
        """Take the answers that waited for the brands of ``run``, in a stable order."""

    async def answers_of(self, run: RunKey, after: Answer | None, limit: int) -> Sequence[Answer]:
        """The answers of a run by their ids, those after ``after``."""

    async def add_analyses(self, analyses: Sequence[Analysis]) -> None:
        """Store analyses; one of the same answer, revision and version stays as it is."""
