"""What the gateway knows: keys, runs, completions and counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from gateway.domain.access import Scope, Tier

Key = tuple[str, UUID, UUID]
"""Tenant, run and completion: an event must name all three right to change anything."""


class RunKind(StrEnum):
    """Where the answers of a run come from."""

    ASKED = "asked"
    IMPORTED = "imported"


class RunState(StrEnum):
    """Where a run stands; all but the first are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand as it is looked for. ``case`` is auto, exact or any."""

    brand_id: UUID
    name: str
    aliases: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    own: bool = False
    case: str = "auto"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question as asked in one run. ``persona`` says who asks, ``locale`` from where."""

    prompt_id: UUID
    text: str
    tags: tuple[str, ...] = ()
    locale: str | None = None
    persona: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A visibility run, or an import of answers. ``expected`` is the number of its answers.

    ``budget_usd`` bounds what its calls may cost together; None: nothing does. ``revision`` counts
    the sets of brands it was analysed with; ``brands`` are those of ``revision``. ``event_seq``
    grows with everything that happens to it.
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
    kind: RunKind = RunKind.ASKED
    name: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    stream: bool = False
    input_hash: str = ""
    revision: int = 1
    event_seq: int = 0


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
    """How a call ended. ``failure_kind`` None means it was answered, with ``text``.

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
    text: str | None = None
    finished_at: datetime | None = None
    provider_ms: int | None = None

    @property
    def key(self) -> Key:
        """Which completion, of which run, of whom."""
        return self.tenant_id, self.run_id, self.completion_id


@dataclass(frozen=True, slots=True)
class CapturedAnswer:
    """An answer that was given elsewhere. ``sources`` are pairs of address and title."""

    tenant_id: str
    run_id: UUID
    answer_id: UUID
    prompt: Prompt
    surface: str
    model: str
    text: str
    captured_at: datetime
    sources: tuple[tuple[str, str], ...] = ()
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What an answer says of one brand; the fields are those of the event."""

    brand_id: UUID
    mentions: int
    named: bool = True
    recommended: bool = False
    denied: bool = False
    cited: bool = False
    link_only: bool = False
    rank: int | None = None
    list_rank: int | None = None
    sentiment: float | None = None
    citations: int = 0
    position_adjusted_words: float = 0.0


@dataclass(frozen=True, slots=True)
class AnalyzedAnswer:
    """What was found in an answer under one revision of its run's brands.

    ``citations`` counts the pages it cites, ``detail`` is the JSON of mentions and citations.
    """

    tenant_id: str
    run_id: UUID
    completion_id: UUID
    findings: tuple[Finding, ...]
    simulated: bool
    analyzed_at: datetime
    revision: int = 1
    analyzer_version: str = ""
    citations: int = 0
    detail: str = '{"mentions": [], "citations": []}'

    @property
    def key(self) -> Key:
        """Which completion, of which run, of whom."""
        return self.tenant_id, self.run_id, self.completion_id


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
class FailureCount:
    """How many calls to a model failed, or were not made, for one reason, with an example."""

    model: str
    kind: str
    count: int
    example: str
    not_run: bool = False


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored: never the secret, only its hash and a prefix to recognise it by.

    ``scopes`` and ``tier`` are what counts now: what was given to the key, bounded by its user's
    role and its tenant's tier. ``disabled_at`` is of its user. ``made_by`` is another key.
    """

    key_id: UUID
    tenant_id: str
    name: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None = None
    scopes: frozenset[Scope] = frozenset()
    tier: Tier = Tier.FREE
    user_id: UUID | None = None
    disabled_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    made_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The answer to an earlier request with the same Idempotency-Key."""

    request_hash: str
    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a policy in its window; ``reset_seconds`` until it is whole again."""

    limit: int
    remaining: int
    reset_seconds: int
    allowed: bool
