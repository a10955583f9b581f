"""What is read of runs: where they stand, what was found, single answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from gateway.domain.cells import Cells
from gateway.domain.models import Brand, FailureCount, Finding, Progress, Run, RunKind, Spent


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
