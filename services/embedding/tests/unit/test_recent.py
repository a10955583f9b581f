"""Memory that has an end."""

from __future__ import annotations

from typing import Any

import pytest
from embedding.adapters.pgvector import PgVectorIndex
from embedding.domain.recent import Recent


def test_what_was_not_written_for_longest_goes_first() -> None:
    recent: Recent[str, int | None] = Recent(3)
    for at, name in enumerate("abca"):
        recent[name] = at
    recent["d"] = None
    recent |= {"e": 5}
    assert dict(recent) == {"a": 3, "d": None, "e": 5}
    assert recent.pop("a") == 3
    recent.setdefault("f", 6)
    recent.setdefault("g", 7)
    assert list(recent) == ["e", "f", "g"]


class Counting:
    """A pool that knows how many rows there are, and finds none near."""

    def __init__(self) -> None:
        self.counts = 0

    async def fetch(self, sql: str, *_: Any) -> list[dict[str, int]]:
        if "count(*)" not in sql:
            return []
        self.counts += 1
        return [{"own": 1, "total": 1}]


@pytest.mark.asyncio
async def test_of_few_tenants_it_is_kept_how_many_rows_they_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("embedding.adapters.pgvector.COUNTED", 2)
    pool = Counting()
    index = PgVectorIndex(pool, "m@1")  # type: ignore[arg-type]
    for tenant in ("a", "b", "c", "c", "a"):
        await index.nearest(tenant, [], 5)
    assert pool.counts == 4
    assert len(index._few) == 2
