"""Answers of visibility runs, and finding them and messages by meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedding.domain.models import Answer, Found, Kind
from embedding.domain.ports import Embedder, Lake, VectorIndex
from embedding.domain.rules import answer_point


@dataclass(frozen=True)
class Archive:
    """All texts of all tenants, each tenant's for itself."""

    lake: Lake
    index: VectorIndex
    embedder: Embedder

    async def add(self, answers: Sequence[Answer]) -> None:
        """Keep answers, and make them to be found."""
        await self.lake.add_answers(answers)
        await self.place(answers)

    async def place(self, answers: Sequence[Answer]) -> None:
        """Put the vectors of answers that are kept."""
        vectors = await self.embedder.embed("answer", [item.text for item in answers])
        await self.index.put_texts(
            [
                (answer_point(item), vector)
                for item, vector in zip(answers, vectors, strict=True)
                if vector is not None
            ]
        )

    async def search(
        self, tenant_id: str, query: str, kinds: Sequence[Kind], limit: int
    ) -> Sequence[Found] | None:
        """The nearest texts of a tenant; None if the model knows nothing of the query."""
        (vector,) = await self.embedder.embed("query", [query])
        if vector is None:
            return None
        return await self.index.search(tenant_id, vector, kinds, limit)
