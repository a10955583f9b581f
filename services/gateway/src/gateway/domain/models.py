"""What the gateway knows: keys, runs, completions and counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


class RunState(StrEnum):
    """Where a run stands; all but the first are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand as tracked in one run."""

    brand_id: UUID
    name: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question as asked in one run."""

    prompt_id: UUID
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """A visibility run. ``expected`` is the number of its completions.

    ``budget_usd`` bounds what its calls may cost together; None: nothing does.
    """

    run_id: UUID
    tenant_id: str
    brands: tuple[Brand, ...]
    prompts: tuple[Prompt, ...]
    models: tuple[str, ...]
    samples: int
    expected: int
    state: RunState
    started_at: datetime
    finished_at: datetime | None = None
    budget_usd: Decimal | None = None
    cancelled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlannedCompletion:
    """One model call of a run."""

    completion_id: UUID
    prompt: Prompt
    model: str
    sample: int
    seed: int


@dataclass(frozen=True, slots=True)
class FinishedCompletion:
    """How a call ended. ``failure_kind`` None means it was answered.

    ``not_run``: nothing failed, the call was not made. ``cost_known`` False: it was made, at a
    price that is not known.
    """

    tenant_id: str
    run_id: UUID
    completion_id: UUID
    failure_kind: str | None
    failure_message: str | None
    simulated: bool
    not_run: bool = False
    cost_usd: Decimal | None = None
    cost_known: bool = True


@dataclass(frozen=True, slots=True)
class AnalyzedAnswer:
    """How often each brand occurs in an answer; brands that do not occur are left out."""

    tenant_id: str
    run_id: UUID
    completion_id: UUID
    mentions: tuple[tuple[UUID, int], ...]
    simulated: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of a run's completions by state; they add up to the expected number."""

    waiting: int
    answered: int
    analyzed: int
    failed: int
    not_run: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls of a run cost, in USD; ``unpriced`` more calls have no known price."""

    usd: Decimal
    unpriced: int


@dataclass(frozen=True, slots=True)
class BrandCount:
    """A brand in the answers of one model: in how many of them named, and how often in all."""

    brand_id: UUID
    name: str
    model: str
    answers: int
    named_in: int
    mentions: int


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many calls to a model failed, or were not made, for one reason, with an example."""

    model: str
    kind: str
    count: int
    example: str
    not_run: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has found so far. Failed calls are in no denominator."""

    run: Run
    progress: Progress
    simulated: bool
    counts: tuple[BrandCount, ...]
    failures: tuple[FailureCount, ...]
    spent: Spent


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored: never the secret, only its hash and a prefix to recognise it by."""

    key_id: UUID
    tenant_id: str
    name: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The answer to an earlier request with the same Idempotency-Key."""

    request_hash: str
    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Quota:
    """What a key has left in its window; ``reset_seconds`` until it is whole again."""

    limit: int
    remaining: int
    reset_seconds: int
    allowed: bool
