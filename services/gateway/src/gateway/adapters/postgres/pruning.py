"""Deletes what has been kept for long enough."""

from __future__ import annotations

from datetime import datetime

from bus.stores.postgres import Pool, translated

_SLICE = 5000


class PostgresPruning:
    """Deletes in slices, so that no lock is held for long. Each call says how many rows went."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def usage(self, before: datetime) -> int:
        """Usage of hours before."""
        return await self._delete("key_usage", "hour", before)

    async def idempotent_requests(self, before: datetime) -> int:
        """Remembered answers from before: the same key is a new request afterwards."""
        return await self._delete("idempotent_requests", "created_at", before)

    async def rejections(self, before: datetime) -> int:
        """What was refused before."""
        return await self._delete("rejected_events", "rejected_at", before)

    async def _delete(self, table: str, column: str, before: datetime) -> int:
        statement = (
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - both are our constants
            f"SELECT ctid FROM {table} WHERE {column} < $1 LIMIT {_SLICE}))"
        )
        total = 0
        while True:
            with translated():
                gone = int((await self._pool.execute(statement, before)).split()[-1])
            total += gone
            if gone < _SLICE:
                return total
