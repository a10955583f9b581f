"""Between events and the domain: one function for each event, in either direction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bus.codec import Delivered, claimed_tenant
from bus.dead_letter import dlq_fields, without_dlq
from bus.record import Record
from contracts.events.base import Part
from contracts.events.catalog import ModelCatalogChanged
from contracts.events.completion import (
    VISIBILITY,
    Budget,
    CompletionChunked,
    CompletionFinished,
    CompletionRequested,
    Message,
    Origin,
)
from contracts.events.marketing import (
    CampaignChanged,
    PopularCampaignsChanged,
    RecommendationChanged,
    SearchAnswered,
    UserForgotten,
)
from contracts.events.marketing import FrequencyCap as CapPart
from contracts.events.visibility import (
    AnswerAnalyzed,
    AnswerCaptured,
    ReanalysisRequested,
    Source,
    TrackedBrand,
    VisibilityRunStarted,
)
from contracts.ids import captured_month, captured_run_id, prompt_id
from contracts.topics import dlq_name

from gateway.domain.catalog import ModelCatalog, Price
from gateway.domain.marketing import Campaign, FrequencyCap, microseconds
from gateway.domain.models import (
    AnalyzedAnswer,
    Brand,
    CapturedAnswer,
    Finding,
    FinishedCompletion,
    PlannedCompletion,
    Prompt,
    Run,
)
from gateway.domain.planning import imported_run, system_text
from gateway.domain.readings import TextPiece
from gateway.domain.recommendations import POPULAR, ListChange, SearchAnswer
from gateway.domain.rejections import Rejection, told_to_producer

COMPLETION_DEADLINE = timedelta(hours=24)
SHOWN_CHARS = 250
NUL, REPLACEMENT = "\x00", "\ufffd"


def started(run: Run) -> VisibilityRunStarted:
    """What to look for in the answers of a run."""
    return VisibilityRunStarted(
        run_id=run.run_id,
        brands=tracked(run.brands),
        expected_completions=run.expected,
        started_at=run.started_at,
    )


def requested(run: Run, item: PlannedCompletion) -> CompletionRequested:
    """One call of a run."""
    return CompletionRequested(
        completion_id=item.completion_id,
        model=item.model,
        messages=_messages(run, item),
        origin=Origin(
            kind=VISIBILITY,
            parent_id=run.run_id,
            item_id=item.prompt.prompt_id,
            sample=item.sample,
        ),
        seed=item.seed,
        temperature=run.temperature,
        deadline_at=run.started_at + COMPLETION_DEADLINE,
        fallbacks=(),
        stream=run.stream,
        budget=(
            None
            if run.budget_usd is None
            else Budget(budget_id=run.run_id, limit_usd=run.budget_usd)
        ),
    )


def reanalysis(
    run_id: UUID, revision: int, brands: Sequence[Brand], now: datetime
) -> ReanalysisRequested:
    """Look for other brands in the stored answers of a run."""
    return ReanalysisRequested(
        run_id=run_id, revision=revision, brands=tracked(brands), requested_at=now
    )


def captured(item: CapturedAnswer) -> AnswerCaptured:
    """An answer that was given elsewhere."""
    return AnswerCaptured(
        answer_id=item.answer_id,
        run_id=item.run_id,
        prompt=item.prompt.text,
        locale=item.prompt.locale,
        tags=item.prompt.tags,
        surface=item.surface,  # type: ignore[arg-type]  # checked by the request's schema
        model=item.model,
        text=item.text,
        sources=tuple(Source(url=url, title=title) for url, title in item.sources),
        captured_at=item.captured_at,
        simulated=item.simulated,
    )


def tracked(brands: Sequence[Brand]) -> tuple[TrackedBrand, ...]:
    """Brands as events carry them."""
    return tuple(
        TrackedBrand(
            brand_id=brand.brand_id,
            name=brand.name,
            aliases=brand.aliases,
            domains=brand.domains,
            exclude=brand.exclude,
            own=brand.own,
            case=brand.case,
        )
        for brand in brands
    )


def finished(item: Delivered[CompletionFinished]) -> FinishedCompletion:
    """How a call of a visibility run ended."""
    event, cost = item.event, item.event.cost
    return FinishedCompletion(
        tenant_id=item.tenant_id,
        run_id=event.origin.parent_id,
        completion_id=event.completion_id,
        failure_kind=None if event.failure is None else event.failure.kind,
        failure_message=None if event.failure is None else _storable(event.failure.message),
        simulated=event.simulated,
        not_run=event.outcome == "not_run",
        cost_usd=None if cost is None else cost.usd,
        cost_known=cost is None or cost.usd is not None,
        text=None if event.text is None else _storable(event.text),
        finished_at=event.finished_at,
        provider_ms=event.provider_ms,
    )


def analyzed(item: Delivered[AnswerAnalyzed]) -> AnalyzedAnswer:
    """What was found in an answer."""
    event = item.event
    return AnalyzedAnswer(
        tenant_id=item.tenant_id,
        run_id=event.run_id,
        completion_id=event.completion_id,
        findings=tuple(Finding(**found.model_dump()) for found in event.findings),
        simulated=event.simulated,
        analyzed_at=event.analyzed_at,
        revision=event.revision,
        analyzer_version=_storable(event.analyzer_version),
        citations=len(event.citations),
        detail=json.dumps(
            {
                "mentions": [_part(one) for one in event.mentions],
                "citations": [_part(one) for one in event.citations],
            },
            ensure_ascii=False,
        ),
    )


def captured_answer(item: Delivered[AnswerCaptured]) -> CapturedAnswer:
    """An answer from a producer outside; without an import it joins the month's collection."""
    event, tenant_id = item.event, item.tenant_id
    text, tags = _storable(event.prompt), tuple(map(_storable, event.tags))
    locale = None if event.locale is None else _storable(event.locale)
    return CapturedAnswer(
        tenant_id=tenant_id,
        run_id=event.run_id or captured_run_id(tenant_id, event.captured_at),
        answer_id=event.answer_id,
        prompt=Prompt(prompt_id(tenant_id, text, locale), text, tags, locale),
        surface=event.surface,
        model=_storable(event.model),
        text=_storable(event.text),
        captured_at=event.captured_at,
        sources=tuple((_storable(one.url), _storable(one.title)) for one in event.sources),
        simulated=event.simulated,
    )


def collection(item: CapturedAnswer, brands: Sequence[Brand], now: datetime) -> Run:
    """The run that holds what was captured in a month and names no import."""
    name = f"captured {captured_month(item.captured_at)}"
    return imported_run(item.run_id, item.tenant_id, name, brands, now)


def text_piece(item: Delivered[CompletionChunked]) -> TextPiece:
    """A piece of an answer while it is written."""
    event = item.event
    return TextPiece(
        tenant_id=item.tenant_id,
        run_id=event.origin.parent_id,
        completion_id=event.completion_id,
        model=event.model_called,
        attempt=event.attempt,
        index=event.index,
        text=event.text,
    )


def model_catalog(event: ModelCatalogChanged) -> ModelCatalog:
    """A provider's list of models."""
    prices = {model.name: model.prices for model in event.models}
    return ModelCatalog(
        provider=event.provider,
        version=event.version,
        simulated=event.simulated,
        complete=event.complete,
        models={
            name: Price(None, None)
            if price is None
            else Price(price.input_usd, price.output_usd, price.request_usd)
            for name, price in prices.items()
        },
        fetched_at=event.fetched_at,
    )


def campaign_changed(item: Campaign) -> CampaignChanged:
    """A campaign as it is now."""
    cap = item.frequency_cap
    return CampaignChanged(
        campaign_id=item.campaign_id,
        title=item.title,
        text=item.text,
        intents=item.intents,
        starts_at=item.starts_at,
        ends_at=item.ends_at,
        budget=item.budget,  # type: ignore[arg-type]  # checked by the request's schema
        excluded_users=item.excluded_users,
        excluded_intents=item.excluded_intents,
        frequency_cap=None
        if cap is None
        else CapPart(impressions=cap.impressions, hours=cap.hours),
        deleted=item.deleted,
        changed_at=item.changed_at,
    )


def campaign(item: Delivered[CampaignChanged]) -> Campaign:
    """A campaign as somebody has changed it."""
    event, cap = item.event, item.event.frequency_cap
    return Campaign(
        tenant_id=item.tenant_id,
        campaign_id=event.campaign_id,
        title=_storable(event.title),
        changed_at=event.changed_at,
        text=_storable(event.text),
        intents=event.intents,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        budget=event.budget,
        excluded_users=event.excluded_users,
        excluded_intents=event.excluded_intents,
        frequency_cap=None if cap is None else FrequencyCap(cap.impressions, cap.hours),
        deleted=event.deleted,
    )


def own_list(item: Delivered[RecommendationChanged]) -> ListChange:
    """What a user should see next, or that they are forgotten."""
    event = item.event
    body = event.model_dump_json(include={"source", "as_of", "ranker_version", "items"})
    return ListChange(
        item.tenant_id, event.user_id, event.version, None if event.forgotten else body
    )


def popular_list(item: Delivered[PopularCampaignsChanged]) -> ListChange:
    """What those should see of whom nothing is known."""
    event = item.event
    rest = event.model_dump_json(include={"as_of", "ranker_version", "items"})
    body = f'{{"source":"{POPULAR}",{rest.removeprefix("{")}'
    return ListChange(item.tenant_id, None, event.version, body)


def forgotten(item: Delivered[UserForgotten]) -> ListChange:
    """That a user is forgotten: of all lists that were made before.

    Versions of lists are microseconds of the clock, or higher.
    """
    event = item.event
    return ListChange(item.tenant_id, event.user_id, microseconds(event.forgotten_at), None)


def search_answer(item: Delivered[SearchAnswered]) -> SearchAnswer:
    """What a search found."""
    event = item.event
    body = event.model_dump_json(include={"hits", "model"})
    return SearchAnswer(item.tenant_id, event.search_id, body, event.failure)


def rejection(letter: Record) -> Rejection | None:
    """What a dead letter tells a tenant; None if it names none.

    Raises ValueError, KeyError, OverflowError: it is not as the bus writes letters.
    """
    fields = dlq_fields(letter)
    if dlq_name(fields["topic"], fields["group"]) != letter.topic:
        raise ValueError(f"it is no letter of {letter.topic}")
    headers = without_dlq(letter.headers)
    tenant_id = claimed_tenant(replace(letter, headers=headers))
    if tenant_id is None:
        return None
    ids = (value for name, value in headers if name == "ce_id")
    return Rejection(
        tenant_id=tenant_id,
        topic=fields["topic"],
        partition=_natural(fields["partition"], 31),
        offset=_natural(fields["offset"], 63),
        service=fields["group"],
        event_id=next((_shown(value) for value in ids), None),
        reason=_storable(fields["reason"]),
        message=_storable(told_to_producer(fields["reason"], fields["message"])),
        attempts=_natural(fields["attempts"], 31),
        rejected_at=datetime.fromisoformat(fields["at"]).astimezone(UTC),
    )


def _shown(value: bytes) -> str:
    return _storable(value.decode(errors="replace"))[:SHOWN_CHARS]


def _natural(text: str, bits: int) -> int:
    number = int(text)
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{text} is out of range")
    return number


def _storable(text: str) -> str:
    """PostgreSQL's text and jsonb cannot hold a NUL."""
    return text.replace(NUL, REPLACEMENT)


def _part(part: Part) -> dict[str, Any]:
    fields = part.model_dump(mode="json")
    return {k: _storable(v) if isinstance(v, str) else v for k, v in fields.items()}


def _messages(run: Run, item: PlannedCompletion) -> tuple[Message, ...]:
    question = Message(role="user", content=item.prompt.text)
    told = system_text(run, item.prompt)
    return (Message(role="system", content=told), question) if told else (question,)
