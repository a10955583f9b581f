"""The gateway's ports in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from gateway.domain.models import (
    AnalyzedAnswer,
    ApiKey,
    BrandCount,
    FailureCount,
    FinishedCompletion,
    PlannedCompletion,
    Progress,
    Quota,
    Report,
    Run,
    RunState,
    Spent,
    StoredResponse,
)
from gateway.domain.rules import final_state


class MemoryRuns:
    """Repository and reader of runs over the same dictionaries."""

    def __init__(self) -> None:
        self._runs: dict[UUID, Run] = {}
        self._planned: dict[UUID, tuple[UUID, PlannedCompletion]] = {}
        self._finished: dict[UUID, FinishedCompletion] = {}
        self._analyzed: dict[UUID, AnalyzedAnswer] = {}
        self._responses: dict[tuple[str, str], StoredResponse] = {}

    async def add_run(self, run: Run, completions: Sequence[PlannedCompletion]) -> None:
        """Store the run."""
        self._runs[run.run_id] = run
        self._planned |= {item.completion_id: (run.run_id, item) for item in completions}

    async def note_finished(self, items: Sequence[FinishedCompletion]) -> None:
        """Keep the latest end of own completions."""
        self._finished |= {item.completion_id: item for item in items if self._own(item)}

    async def note_analyzed(self, items: Sequence[AnalyzedAnswer]) -> None:
        """Keep the latest analysis of own completions."""
        self._analyzed |= {item.completion_id: item for item in items if self._own(item)}

    async def close_runs(self, run_ids: Sequence[UUID], now: datetime) -> None:
        """Set final states."""
        for run in [self._runs[run_id] for run_id in run_ids if run_id in self._runs]:
            state = final_state(self._progress(run), cancelled=run.cancelled_at is not None)
            if run.finished_at is None and state is not RunState.RUNNING:
                self._runs[run.run_id] = replace(run, state=state, finished_at=now)

    async def cancel(self, tenant_id: str, run_id: UUID, now: datetime) -> bool:
        """The first time counts."""
        run = self._runs.get(run_id)
        if run is None or run.tenant_id != tenant_id or run.finished_at or run.cancelled_at:
            return False
        self._runs[run_id] = replace(run, cancelled_at=now)
        return True

    async def remembered(self, tenant_id: str, key: str) -> StoredResponse | None:
        """What was stored under the key."""
        return self._responses.get((tenant_id, key))

    async def remember(self, tenant_id: str, key: str, response: StoredResponse) -> None:
        """Store under the key."""
        self._responses[(tenant_id, key)] = response

    async def run(self, tenant_id: str, run_id: UUID) -> Report | None:
        """The tenant's run."""
        run = self._runs.get(run_id)
        if run is None or run.tenant_id != tenant_id:
            return None
        events = self._events(run)
        return Report(
            run=run,
            progress=self._progress(run),
            simulated=any(event.simulated for event in events),
            counts=self._counts(run),
            failures=self._failures(run),
            spent=self._spent(run),
        )

    def _spent(self, run: Run) -> Spent:
        ends = [self._finished[key] for key in self._of(run) if key in self._finished]
        usd = sum((end.cost_usd or Decimal(0) for end in ends), Decimal(0))
        return Spent(usd, sum(not end.cost_known for end in ends))

    def _own(self, item: FinishedCompletion | AnalyzedAnswer) -> bool:
        run_id, _ = self._planned.get(item.completion_id, (None, None))
        return run_id == item.run_id and self._runs[item.run_id].tenant_id == item.tenant_id

    def _of(self, run: Run) -> list[UUID]:
        return [key for key, (run_id, _) in self._planned.items() if run_id == run.run_id]

    def _events(self, run: Run) -> list[FinishedCompletion | AnalyzedAnswer]:
        known: list[Mapping[UUID, FinishedCompletion | AnalyzedAnswer]]
        known = [self._finished, self._analyzed]
        return [events[key] for events in known for key in self._of(run) if key in events]

    def _progress(self, run: Run) -> Progress:
        counts = {"waiting": 0, "answered": 0, "analyzed": 0, "failed": 0, "not_run": 0}
        for key in self._of(run):
            end = self._finished.get(key)
            if end is not None and end.failure_kind is not None:
                counts["not_run" if end.not_run else "failed"] += 1
            elif key in self._analyzed:
                counts["analyzed"] += 1
            else:
                counts["waiting" if end is None else "answered"] += 1
        return Progress(**counts)

    def _counts(self, run: Run) -> tuple[BrandCount, ...]:
        table = []
        for brand in run.brands:
            for model in run.models:
                found = [
                    dict(self._analyzed[key].mentions)
                    for key in self._of(run)
                    if key in self._analyzed and self._planned[key][1].model == model
                ]
                numbers = [item.get(brand.brand_id, 0) for item in found]
                named = sum(number > 0 for number in numbers)
                table.append(
                    BrandCount(brand.brand_id, brand.name, model, len(found), named, sum(numbers))
                )
        return tuple(table)

    def _failures(self, run: Run) -> tuple[FailureCount, ...]:
        groups: dict[tuple[str, str, bool], list[str]] = {}
        for key in self._of(run):
            end = self._finished.get(key)
            if end is not None and end.failure_kind is not None:
                model = self._planned[key][1].model
                group = (model, end.failure_kind, end.not_run)
                groups.setdefault(group, []).append(end.failure_message or "")
        return tuple(
            FailureCount(model, kind, len(said), min(said), not_run)
            for (model, kind, not_run), said in sorted(groups.items())
        )


class MemoryKeys:
    """Keys in a dictionary."""

    def __init__(self) -> None:
        self._keys: dict[bytes, ApiKey] = {}

    async def add(self, key: ApiKey, secret_hash: bytes) -> None:
        """Store a key once."""
        self._keys.setdefault(secret_hash, key)

    async def by_hash(self, secret_hash: bytes) -> ApiKey | None:
        """The key with that hash."""
        return self._keys.get(secret_hash)

    async def of_tenant(self, tenant_id: str) -> Sequence[ApiKey]:
        """Oldest first."""
        own = [key for key in self._keys.values() if key.tenant_id == tenant_id]
        return sorted(own, key=lambda key: (key.created_at, key.key_id))

    async def revoke(self, tenant_id: str, key_id: UUID, now: datetime) -> ApiKey | None:
        """The first revocation counts."""
        for secret_hash, key in self._keys.items():
            if key.tenant_id == tenant_id and key.key_id == key_id:
                revoked = replace(key, revoked_at=key.revoked_at or now)
                self._keys[secret_hash] = revoked
                return revoked
        return None


class UnlimitedRate:
    """A limiter that lets everything through."""

    async def spend(self, key: str) -> Quota:
        """Always allowed."""
        return Quota(limit=1_000_000, remaining=1_000_000, reset_seconds=1, allowed=True)
