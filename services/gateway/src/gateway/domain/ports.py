"""What the domain needs of its stores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from gateway.domain.models import (
    AnalyzedAnswer,
    ApiKey,
    FinishedCompletion,
    PlannedCompletion,
    Quota,
    Report,
    Run,
    StoredResponse,
)


class RunRepository(Protocol):
    """Runs and their projections, inside one transaction."""

    async def add_run(self, run: Run, completions: Sequence[PlannedCompletion]) -> None:
        """Store a new run with its open completions."""

    async def note_finished(self, items: Sequence[FinishedCompletion]) -> None:
        """Project how calls ended. Completions of other tenants or unknown runs are left alone."""

    async def note_analyzed(self, items: Sequence[AnalyzedAnswer]) -> None:
        """Project what answers name, whether or not their end has been projected yet."""

    async def close_runs(self, run_ids: Sequence[UUID], now: datetime) -> None:
        """Give those of the runs a final state that have no open completion left."""

    async def cancel(self, tenant_id: str, run_id: UUID, now: datetime) -> bool:
        """Note that a running run of the tenant is to end; whether this was the first time."""

    async def remembered(self, tenant_id: str, key: str) -> StoredResponse | None:
        """The answer stored under an Idempotency-Key; a concurrent use of the key waits."""

    async def remember(self, tenant_id: str, key: str, response: StoredResponse) -> None:
        """Store the answer to a request with an Idempotency-Key."""


class RunReader(Protocol):
    """Reads for the API; each is one consistent look."""

    async def run(self, tenant_id: str, run_id: UUID) -> Report | None:
        """A run of the tenant with its progress and counts; None if it has none of that id."""


class KeyRepository(Protocol):
    """API keys of all tenants."""

    async def add(self, key: ApiKey, secret_hash: bytes) -> None:
        """Store a key. Its tenant is made if there is none of that id."""

    async def by_hash(self, secret_hash: bytes) -> ApiKey | None:
        """The key with that hash, revoked or not."""

    async def of_tenant(self, tenant_id: str) -> Sequence[ApiKey]:
        """All keys of a tenant, oldest first."""

    async def revoke(self, tenant_id: str, key_id: UUID, now: datetime) -> ApiKey | None:
        """Revoke a key of the tenant; revoking twice changes nothing. None if there is none."""


class RateLimiter(Protocol):
    """Counts requests per key. A counter that cannot be reached lets requests through."""

    async def spend(self, key: str) -> Quota:
        """Count one request."""
