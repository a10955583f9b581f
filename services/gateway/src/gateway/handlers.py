"""One function per topic: project what happened into the read models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bus.apply import Batch
from bus.codec import Delivered, Emit
from bus.errors import Permanent, Transient
from contracts.events.catalog import ModelCatalogChanged
from contracts.events.completion import VISIBILITY, CompletionChunked, CompletionFinished
from contracts.events.marketing import (
    CampaignChanged,
    PopularCampaignsChanged,
    RecommendationChanged,
    SearchAnswered,
    UserForgotten,
)
from contracts.events.visibility import AnswerAnalyzed, AnswerCaptured
from contracts.topics import VISIBILITY_RUN_STARTED

from gateway import translation
from gateway.domain import NAME
from gateway.domain.models import AnalyzedAnswer, CapturedAnswer, RunKind
from gateway.domain.ports import (
    CampaignRepository,
    LiveText,
    RecommendationWriter,
    RunRepository,
    SearchAnswers,
)
from gateway.domain.recommendations import POPULAR

Captured = tuple[Delivered[AnswerCaptured], CapturedAnswer]


async def on_completions_finished(
    batch: Batch[CompletionFinished], repository: RunRepository
) -> Sequence[Emit]:
    """Project how the calls of visibility runs ended."""
    items = [translation.finished(i) for i in batch if i.event.origin.kind == VISIBILITY]
    own = await repository.note_finished(items)
    await _settle(
        repository,
        (
            (i.run_id, i.completion_id, _state(i.failure_kind, not_run=i.not_run))
            for i in items
            if i.key in own
        ),
    )
    return []


async def on_answers_analyzed(
    batch: Batch[AnswerAnalyzed], repository: RunRepository
) -> Sequence[Emit]:
    """Project what was found in answers."""
    await _project(repository, [translation.analyzed(item) for item in batch])
    return []


async def on_answers_captured(
    batch: Batch[AnswerCaptured], repository: RunRepository
) -> Sequence[Emit]:
    """Take in answers of producers outside; the gateway's own are stored with their command."""
    items = [item for item in batch if item.envelope.source != NAME]
    pairs = await _unknown(
        [(item, translation.captured_answer(item)) for item in items], repository
    )
    if not pairs:
        return []
    now = datetime.now(UTC)
    emits = await _collected(pairs, repository, now)
    answers = [answer for _, answer in pairs]
    new = await repository.add_captured(answers, now)
    if not new >= {answer.answer_id for answer in answers}:
        raise Transient("another transaction has just stored one of these answers")
    await _project(repository, await repository.take_early(list(new)))
    return emits


async def on_model_catalogs_changed(
    batch: Batch[ModelCatalogChanged], repository: RunRepository
) -> Sequence[Emit]:
    """Remember what providers offer, to tell unknown models and to estimate costs."""
    await repository.learn_catalogs([translation.model_catalog(item.event) for item in batch])
    return []


async def on_completions_chunked(batch: Batch[CompletionChunked], live: LiveText) -> None:
    """Pass pieces of answers on to those who watch."""
    items = [item for item in batch if item.event.origin.kind == VISIBILITY]
    await live.publish([translation.text_piece(item) for item in items])


async def on_campaigns_changed(
    batch: Batch[CampaignChanged], campaigns: CampaignRepository, lists: RecommendationWriter
) -> None:
    """Take in campaigns of producers outside, and hide what may no longer be shown.

    The gateway's own are stored with their command.
    """
    found = [(item.envelope.source, translation.campaign(item)) for item in batch]
    await campaigns.learn([campaign for source, campaign in found if source != NAME])
    await lists.note_campaigns([campaign for _, campaign in found])


async def on_recommendations_changed(
    batch: Batch[RecommendationChanged], lists: RecommendationWriter
) -> None:
    """Keep what users should see next, ready to be served."""
    await lists.put([translation.own_list(item) for item in batch])


async def on_popular_campaigns_changed(
    batch: Batch[PopularCampaignsChanged], lists: RecommendationWriter
) -> None:
    """Keep what is served to those of whom nothing is known."""
    served = [item for item in batch if item.event.list_id == POPULAR]
    await lists.put([translation.popular_list(item) for item in served])


async def on_users_forgotten(batch: Batch[UserForgotten], lists: RecommendationWriter) -> None:
    """Serve nothing of a user any more that was made before."""
    await lists.put([translation.forgotten(item) for item in batch])


async def on_searches_answered(batch: Batch[SearchAnswered], answers: SearchAnswers) -> None:
    """Pass what was found on to whoever waits for it."""
    await answers.hand_over([translation.search_answer(item) for item in batch])


async def _unknown(pairs: Sequence[Captured], repository: RunRepository) -> Sequence[Captured]:
    """Those whose answers are not there yet. Raises Permanent: an id is another tenant's."""
    owners = dict(await repository.answer_owners([answer.answer_id for _, answer in pairs]))
    fresh = [pair for pair in pairs if pair[1].answer_id not in owners]
    for _, answer in pairs:
        if owners.setdefault(answer.answer_id, answer.tenant_id) != answer.tenant_id:
            raise Permanent(f"another answer has the id {answer.answer_id}: make ids at random")
    return fresh


async def _collected(
    pairs: Sequence[Captured], repository: RunRepository, now: datetime
) -> list[Emit]:
    """Make the months' collections. Raises Permanent: an import is not there, or not theirs."""
    emits: list[Emit] = []
    kinds = dict(await repository.run_kinds([answer.run_id for _, answer in pairs]))
    for item, answer in pairs:
        if item.event.run_id is None and answer.run_id not in kinds:
            brands = await repository.all_brands(answer.tenant_id)
            run = translation.collection(answer, brands, now)
            kinds[run.run_id] = (run.tenant_id, run.kind)
            if await repository.ensure_run(run):
                emits.append(item.emit(VISIBILITY_RUN_STARTED, translation.started(run)))
        _must_be_import(answer, kinds.get(answer.run_id))
    return emits


def _must_be_import(answer: CapturedAnswer, found: tuple[str, RunKind] | None) -> None:
    if found != (answer.tenant_id, RunKind.IMPORTED):
        raise Permanent(
            f"tenant {answer.tenant_id} has no import {answer.run_id}: make one with "
            "POST /v1/visibility/imports, or leave run_id out"
        )


async def _project(repository: RunRepository, items: Sequence[AnalyzedAnswer]) -> None:
    own = await repository.note_analyzed(items)
    await _settle(
        repository,
        ((i.run_id, i.completion_id, "analyzed") for i in items if i.key in own),
    )


def _state(failure_kind: str | None, *, not_run: bool) -> str:
    if failure_kind is None:
        return "answered"
    return "not_run" if not_run else "failed"


async def _settle(repository: RunRepository, items: Iterable[tuple[UUID, UUID, str]]) -> None:
    settled: dict[UUID, dict[str, list[str]]] = {}
    for run_id, completion_id, state in dict.fromkeys(items):
        settled.setdefault(run_id, {}).setdefault(state, []).append(str(completion_id))
    await repository.settle(_written(settled), datetime.now(UTC))


def _written(settled: Mapping[UUID, Any]) -> dict[UUID, str]:
    return {run_id: json.dumps(item) for run_id, item in settled.items()}
