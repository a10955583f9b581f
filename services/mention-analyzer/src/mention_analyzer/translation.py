"""Between events and the domain: one function for each event, in either direction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from bus.codec import Delivered
from contracts.events.completion import VISIBILITY, CompletionFinished
from contracts.events.visibility import (
    AnswerAnalyzed,
    AnswerCaptured,
    Citation,
    Finding,
    Mention,
    TrackedBrand,
)
from contracts.ids import captured_run_id, prompt_id

from mention_analyzer.domain.models import Analysis, Answer, Brand, BrandSet, CaseRule, Source

NUL, REPLACEMENT = "\x00", "\ufffd"


def brand_set(
    tenant_id: str, run_id: UUID, brands: Sequence[TrackedBrand], revision: int
) -> BrandSet:
    """The brands of a run. An unknown case rule counts as the automatic one."""
    return BrandSet(tenant_id, run_id, tuple(_brand(brand) for brand in brands), revision)


def answer(item: Delivered[CompletionFinished]) -> Answer | None:
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
        text=_storable(event.text),
        simulated=event.simulated,
    )


def captured(item: Delivered[AnswerCaptured]) -> Answer:
    """An answer that was given elsewhere."""
    event, tenant_id = item.event, item.tenant_id
    return Answer(
        tenant_id=tenant_id,
        completion_id=event.answer_id,
        run_id=event.run_id or captured_run_id(tenant_id, event.captured_at),
        prompt_id=prompt_id(tenant_id, _storable(event.prompt), event.locale),
        model=_storable(event.model),
        sample=0,
        text=_storable(event.text),
        simulated=event.simulated,
        sources=tuple(Source(_storable(one.url), _storable(one.title)) for one in event.sources),
    )


def analyzed(analysis: Analysis, now: datetime) -> AnswerAnalyzed:
    """What was found in an answer."""
    of = analysis.answer
    return AnswerAnalyzed(
        completion_id=of.completion_id,
        run_id=of.run_id,
        prompt_id=of.prompt_id,
        model=of.model,
        sample=of.sample,
        analyzer_version=analysis.analyzer_version,
        revision=analysis.revision,
        mentions=tuple(
            Mention.model_validate(found, from_attributes=True) for found in analysis.mentions
        ),
        citations=tuple(
            Citation.model_validate(found, from_attributes=True) for found in analysis.citations
        ),
        findings=tuple(
            Finding.model_validate(found, from_attributes=True) for found in analysis.findings
        ),
        simulated=of.simulated,
        analyzed_at=now,
    )


def _brand(brand: TrackedBrand) -> Brand:
    known = {rule.value for rule in CaseRule}
    return Brand(
        brand_id=brand.brand_id,
        name=brand.name,
        aliases=brand.aliases,
        domains=brand.domains,
        exclude=brand.exclude,
        own=brand.own,
        case=CaseRule(brand.case) if brand.case in known else CaseRule.AUTO,
    )


def _storable(text: str) -> str:
    """PostgreSQL's text cannot hold a NUL."""
    return text.replace(NUL, REPLACEMENT)
