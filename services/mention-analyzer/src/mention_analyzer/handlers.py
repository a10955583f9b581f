"""One function per topic: translate the events, ask the domain, return what to publish."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from bus.apply import Batch
from bus.codec import Delivered, Emit
from bus.errors import Permanent
from contracts.events.base import Event
from contracts.events.completion import VISIBILITY, CompletionFinished
from contracts.events.visibility import AnswerAnalyzed, Mention, VisibilityRunStarted
from contracts.topics import ANSWER_ANALYZED

from mention_analyzer.domain.errors import UnusableBrand
from mention_analyzer.domain.models import Analysis, Answer, Brand, BrandSet
from mention_analyzer.domain.ports import AnalysisRepository
from mention_analyzer.domain.rules import analyze


async def on_visibility_runs_started(
    batch: Batch[VisibilityRunStarted], repository: AnalysisRepository
) -> Sequence[Emit]:
    """Learn what to look for; analyse the answers that arrived before."""
    emits: list[Emit] = []
    for item in batch:
        brand_set = _brand_set(item)
        await repository.save_brand_set(brand_set)
        parked = await repository.unpark((brand_set.tenant_id, brand_set.run_id))
        analyses = [_analyzed(answer, brand_set.brands) for answer in parked]
        await repository.add_analyses(analyses)
        emits += [_emit(item, analysis) for analysis in analyses]
    return emits


async def on_completions_finished(
    batch: Batch[CompletionFinished], repository: AnalysisRepository
) -> Sequence[Emit]:
    """Keep the answers of visibility runs; analyse those whose brands are known, park the rest."""
    wanted = [(item, answer) for item in batch if (answer := _answer(item)) is not None]
    runs = [(answer.tenant_id, answer.run_id) for _, answer in wanted]
    brands = await repository.brands_of(runs)
    known = [pair for pair, run in zip(wanted, runs, strict=True) if run in brands]
    early = [answer for (_, answer), run in zip(wanted, runs, strict=True) if run not in brands]
    await repository.add_answers(early, parked=True)
    await repository.add_answers([answer for _, answer in known], parked=False)
    found = [
        (item, _analyzed(answer, brands[(answer.tenant_id, answer.run_id)]))
        for item, answer in known
    ]
    await repository.add_analyses([analysis for _, analysis in found])
    return [_emit(item, analysis) for item, analysis in found]


def _brand_set(item: Delivered[VisibilityRunStarted]) -> BrandSet:
    brands = tuple(Brand(brand.brand_id, brand.name, brand.aliases) for brand in item.event.brands)
    return BrandSet(item.tenant_id, item.event.run_id, brands)


def _answer(item: Delivered[CompletionFinished]) -> Answer | None:
    """The answer, unless the call failed or was made for another job."""
    event, origin = item.event, item.event.origin
    if event.text is None or origin.kind != VISIBILITY:
        return None
    return Answer(
        tenant_id=item.tenant_id,
        completion_id=event.completion_id,
        run_id=origin.parent_id,
        prompt_id=origin.item_id,
        model=event.model,
        sample=origin.sample,
        text=event.text.replace("\x00", "\ufffd"),  # PostgreSQL's text cannot hold a NUL
        simulated=event.simulated,
    )


def _analyzed(answer: Answer, brands: tuple[Brand, ...]) -> Analysis:
    try:
        return analyze(answer, brands)
    except UnusableBrand as error:
        raise Permanent(str(error)) from error


def _emit(cause: Delivered[Event], analysis: Analysis) -> Emit:
    answer = analysis.answer
    return cause.emit(
        ANSWER_ANALYZED,
        AnswerAnalyzed(
            completion_id=answer.completion_id,
            run_id=answer.run_id,
            prompt_id=answer.prompt_id,
            model=answer.model,
            sample=answer.sample,
            analyzer_version=analysis.analyzer_version,
            mentions=tuple(
                Mention(
                    brand_id=found.brand_id,
                    start=found.start,
                    end=found.end,
                    text=found.text,
                    rule=found.rule,
                )
                for found in analysis.mentions
            ),
            simulated=answer.simulated,
            analyzed_at=datetime.now(UTC),
        ),
    )
