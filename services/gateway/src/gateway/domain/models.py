"""What the gateway knows: keys, runs, completions and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from gateway.domain.access import Scope, Tier
from gateway.domain.cells import Cells

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
class RunStatus:
    """Where a run stands."""

    run: Run
    progress: Progress
    simulated: bool
    spent: Spent


@dataclass(frozen=True, slots=True)
class AnalysisState:
    """How far a revision of a run's analysis is: ``analyzed`` of ``answers``, and by what."""

    answers: int
    analyzed: int
    analyzer_versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a report is made from: sums over analysed answers. Failed calls are in no sum."""

    status: RunStatus
    revision: int
    brands: tuple[Brand, ...]
    cells: Cells
    analysis: AnalysisState
    failures: tuple[FailureCount, ...]


@dataclass(frozen=True, slots=True)
class RevisionOf:
    """A revision of a run's analysis. ``ended``: the run itself has ended."""

    run_id: UUID
    revision: int
    brands: tuple[Brand, ...]
    ended: bool
    kind: RunKind


@dataclass(frozen=True, slots=True)
class AnswerFilter:
    """Which answers of a run to show; None: whatever it is. ``after`` is the last id shown."""

    revision: int
    limit: int
    after: UUID | None = None
    model: str | None = None
    surface: str | None = None
    prompt_id: UUID | None = None
    brand_id: UUID | None = None
    outcome: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer, or the failure in its place. ``detail`` holds mentions and citations as JSON."""

    completion_id: UUID
    prompt_id: UUID
    prompt: str
    tags: tuple[str, ...]
    model: str
    surface: str
    sample: int
    state: str
    simulated: bool
    finished_at: datetime | None
    failure_kind: str | None
    failure_message: str | None
    cost_usd: Decimal | None
    text: str | None
    sources: str
    analyzer_version: str | None
    detail: str | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class RunMoved:
    """What a batch of events settled in a run; ``seq`` orders them. ``settled`` is JSON."""

    seq: int
    settled: str


@dataclass(frozen=True, slots=True)
class CachedReport:
    """A report's JSON as it was at an ``event_seq`` of its run."""

    event_seq: int
    body: bytes


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of an answer while it is written; a higher ``attempt`` voids what came before."""

    tenant_id: str
    run_id: UUID
    completion_id: UUID
    model: str
    attempt: int
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs by its provider's list, in USD; None: the list does not say."""

    input_usd: Decimal | None
    output_usd: Decimal | None
    request_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will cost, roughly, in USD; ``unpriced`` models are not in the sum."""

    usd: Decimal
    unpriced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelCatalog:
    """A provider's list of models, with their prices, by the provider's own names.

    ``complete`` False: the provider has no list, and any model may be asked of it.
    """

    provider: str
    version: str
    simulated: bool
    models: Mapping[str, Price]
    fetched_at: datetime
    complete: bool = True


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
