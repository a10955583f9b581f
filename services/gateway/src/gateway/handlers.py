"""One function per topic: project what happened into the read model of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from bus.apply import Batch
from bus.codec import Delivered, Emit
from contracts.events.completion import VISIBILITY, CompletionFinished
from contracts.events.visibility import AnswerAnalyzed

from gateway.domain.models import AnalyzedAnswer, FinishedCompletion
from gateway.domain.ports import RunRepository


async def on_completions_finished(
    batch: Batch[CompletionFinished], repository: RunRepository
) -> Sequence[Emit]:
    """Project how the calls of visibility runs ended."""
    items = [_finished(item) for item in batch if item.event.origin.kind == VISIBILITY]
    await repository.note_finished(items)
    await repository.close_runs(sorted({item.run_id for item in items}), datetime.now(UTC))
    return []


async def on_answers_analyzed(
    batch: Batch[AnswerAnalyzed], repository: RunRepository
) -> Sequence[Emit]:
    """Project which brands the answers name."""
    items = [_analyzed(item) for item in batch]
    await repository.note_analyzed(items)
    await repository.close_runs(sorted({item.run_id for item in items}), datetime.now(UTC))
    return []


def _finished(item: Delivered[CompletionFinished]) -> FinishedCompletion:
    event, cost = item.event, item.event.cost
    return FinishedCompletion(
        tenant_id=item.tenant_id,
        run_id=event.origin.parent_id,
        completion_id=event.completion_id,
        failure_kind=None if event.failure is None else event.failure.kind,
        failure_message=None if event.failure is None else event.failure.message,
        simulated=event.simulated,
        not_run=event.outcome == "not_run",
        cost_usd=None if cost is None else cost.usd,
        cost_known=cost is None or cost.usd is not None,
    )


def _analyzed(item: Delivered[AnswerAnalyzed]) -> AnalyzedAnswer:
    counts = Counter(mention.brand_id for mention in item.event.mentions)
    return AnalyzedAnswer(
        tenant_id=item.tenant_id,
        run_id=item.event.run_id,
        completion_id=item.event.completion_id,
        mentions=tuple(sorted(counts.items())),
        simulated=item.event.simulated,
    )
