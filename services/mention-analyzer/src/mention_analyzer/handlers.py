"""One function per topic: ask the domain, keep what it finds, return what to publish."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from bus.apply import Batch
from bus.codec import Delivered, Emit
from bus.errors import Permanent
from contracts.events.base import Event
from contracts.events.completion import CompletionFinished
from contracts.events.visibility import AnswerCaptured, ReanalysisRequested, VisibilityRunStarted
from contracts.topics import ANSWER_ANALYZED

from mention_analyzer import translation
from mention_analyzer.domain.errors import UnusableBrand
from mention_analyzer.domain.models import Analysis, Answer, BrandSet
from mention_analyzer.domain.ports import AnalysisRepository, RunKey
from mention_analyzer.domain.rules import analyze

SLICE = 500
BREATH = 16
"""Answers between two turns of the event loop: analysis computes, and others wait for it."""


async def on_visibility_runs_started(
    batch: Batch[VisibilityRunStarted], repository: AnalysisRepository
) -> Sequence[Emit]:
    """Learn what to look for; analyse the answers that arrived before."""
    emits: list[Emit] = []
    for item in batch:
        event = item.event
        wanted = translation.brand_set(item.tenant_id, event.run_id, event.brands, 1)
        current = await repository.save_brand_set(wanted)
        parked = await repository.unpark(_key(wanted))
        emits += await _analysed(
            [(item, answer) for answer in parked], {_key(current): current}, repository
        )
    return emits


async def on_reanalyses_requested(
    batch: Batch[ReanalysisRequested], repository: AnalysisRepository
) -> Sequence[Emit]:
    """Look for other brands in all answers of a run that are there; no model is called."""
    emits: list[Emit] = []
    for item in batch:
        event = item.event
        wanted = translation.brand_set(item.tenant_id, event.run_id, event.brands, event.revision)
        await repository.save_brand_set(wanted)
        await repository.unpark(_key(wanted))
        last: Answer | None = None
        while True:
            answers = await repository.answers_of(_key(wanted), last, SLICE)
            pairs = [(item, answer) for answer in answers]
            emits += await _analysed(pairs, {_key(wanted): wanted}, repository)
            if len(answers) < SLICE:
                break
            last = answers[-1]
    return emits


async def on_completions_finished(
    batch: Batch[CompletionFinished], repository: AnalysisRepository
) -> Sequence[Emit]:
    """Keep the answers of visibility runs; analyse those whose brands are known, park the rest."""
    wanted = [(item, answer) for item in batch if (answer := translation.answer(item)) is not None]
    return await _taken_in(wanted, repository)


async def on_answers_captured(
    batch: Batch[AnswerCaptured], repository: AnalysisRepository
) -> Sequence[Emit]:
    """The same with answers that were given elsewhere."""
    return await _taken_in([(item, translation.captured(item)) for item in batch], repository)


async def _taken_in(
    wanted: Sequence[tuple[Delivered[Event], Answer]], repository: AnalysisRepository
) -> Sequence[Emit]:
    brands = await repository.brands_of([_run(answer) for _, answer in wanted])
    known = [pair for pair in wanted if _run(pair[1]) in brands]
    early = [answer for _, answer in wanted if _run(answer) not in brands]
    await repository.add_answers(early, parked=True)
    await repository.add_answers([answer for _, answer in known], parked=False)
    return await _analysed(known, brands, repository)


async def _analysed(
    pairs: Sequence[tuple[Delivered[Event], Answer]],
    brands: Mapping[RunKey, BrandSet],
    repository: AnalysisRepository,
) -> list[Emit]:
    found: list[tuple[Delivered[Event], Analysis]] = []
    for number, (cause, answer) in enumerate(pairs, 1):
        found.append((cause, _analysis(answer, brands[_run(answer)])))
        if number % BREATH == 0:
            await asyncio.sleep(0)
    await repository.add_analyses([analysis for _, analysis in found])
    now = datetime.now(UTC)
    return [
        cause.emit(ANSWER_ANALYZED, translation.analyzed(analysis, now))
        for cause, analysis in found
    ]


def _analysis(answer: Answer, brand_set: BrandSet) -> Analysis:
    try:
        return analyze(answer, brand_set.brands, brand_set.revision)
    except UnusableBrand as error:
        raise Permanent(str(error)) from error


def _run(answer: Answer) -> RunKey:
    return answer.tenant_id, answer.run_id


def _key(brand_set: BrandSet) -> RunKey:
    return brand_set.tenant_id, brand_set.run_id
