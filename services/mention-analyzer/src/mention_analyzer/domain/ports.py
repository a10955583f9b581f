"""What the domain needs of a store, inside one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from mention_analyzer.domain.models import Analysis, Answer, Brand, BrandSet

RunKey = tuple[str, UUID]
"""Tenant and run: no lookup goes by the run alone."""


class AnalysisRepository(Protocol):
    """Brand sets, raw answers and analyses of all tenants."""

    async def save_brand_set(self, brand_set: BrandSet) -> None:
        """Store the brands of a run; a second set for the same run changes nothing.

        Waits for transactions that are parking answers of that run, so that ``parked`` sees them.
        """

    async def brands_of(self, runs: Sequence[RunKey]) -> Mapping[RunKey, tuple[Brand, ...]]:
        """The brands of those runs that are known.

        Unknown ones cannot become known before the transaction ends.
        """

    async def add_answers(self, answers: Sequence[Answer], *, parked: bool) -> None:
        """Store raw answers; one that is stored already stays as it is."""

    async def unpark(self, run: RunKey) -> Sequence[Answer]:
        """Take the answers that waited for the brands of ``run``, in a stable order."""

    async def add_analyses(self, analyses: Sequence[Analysis]) -> None:
        """Store analyses; one of the same answer and version stays as it is."""
