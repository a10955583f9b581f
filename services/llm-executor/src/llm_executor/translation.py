"""Between the contracts and the domain: requests as they are queued and called, ends as events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from bus.codec import Delivered, decode
from bus.errors import RecordTooLarge
from bus.outbox import OutboxRow, derive
from bus.record import Record
from contracts.envelope import to_headers
from contracts.events.base import Event
from contracts.events.completion import (
    VISIBILITY,
    CompletionFinished,
    CompletionRequested,
    Cost,
    Failure,
    Tried,
    Usage,
)
from contracts.topics import COMPLETION_FINISHED, COMPLETION_REQUESTED, topic_named
from runtime.tracing import traceparent_of

from llm_executor.calling.progress import Progress
from llm_executor.domain import SERVICE
from llm_executor.domain.errors import NOT_RUN
from llm_executor.domain.models import Call, Claimed, Finished, Key, Queued, Turn
from llm_executor.domain.rules import storable

_TOPICS = {COMPLETION_REQUESTED.name: topic_named(COMPLETION_REQUESTED.name)}


def queued(item: Delivered[Event]) -> Queued:
    """A request as the queue keeps it."""
    request = item.event
    assert isinstance(request, CompletionRequested)
    assert item.record.value is not None
    return Queued(
        key=Key(item.tenant_id, request.completion_id),
        lane=request.model,
        parent_id=request.origin.parent_id,
        interactive=request.priority == "interactive",
        weight=request.weight,
        fallback=_fallback(request),
        deadline=request.deadline_at,
        headers=to_headers(item.envelope),  # others may hold what no store takes
        body=item.record.value,
        cache_key=None if request.cache_seconds is None else cache_key(request),
    )


def _fallback(request: CompletionRequested) -> bool | None:
    if request.origin.kind == VISIBILITY:
        return False
    return None if request.fallbacks is None else bool(request.fallbacks)


def cache_key(request: CompletionRequested) -> str:
    """A digest of everything that an answer depends on."""
    told = request.model_dump(
        mode="json",
        include={
            "model",
            "messages",
            "seed",
            "temperature",
            "max_output_tokens",
            "response_schema",
        },
    )
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def models_of(request: CompletionRequested, configured: Sequence[str]) -> tuple[str, ...]:
    """The model asked for and those to fall back to; a visibility sample has none."""
    if request.origin.kind == VISIBILITY:
        return (request.model,)
    fallbacks = configured if request.fallbacks is None else request.fallbacks
    return tuple(dict.fromkeys((request.model, *fallbacks)))


def delivered(claimed: Claimed) -> Delivered[Event]:
    """The request of a claim, as it came."""
    key = str(claimed.key.completion_id).encode()
    topic = COMPLETION_REQUESTED.name
    return decode(_TOPICS, Record(topic, 0, 0, key, claimed.body, claimed.headers, 0))


def call_of(request: CompletionRequested) -> Call:
    """What is sent to a provider; the model is still that of the request."""
    return Call(
        model=request.model,
        turns=tuple(
            Turn(message.role, message.content, tuple(image.url for image in message.images))
            for message in request.messages
        ),
        seed=request.seed,
        temperature=request.temperature,
        max_output_tokens=request.max_output_tokens,
        schema=request.response_schema,
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """How a completion ended: with a text, or with the kind and message of a failure."""

    progress: Progress
    text: str | None = None
    model_used: str | None = None
    finish_reason: str | None = None
    failure_kind: str | None = None
    failure_message: str = ""

    @property
    def outcome(self) -> str:
        """``answered``, ``not_run`` if nothing failed and nothing was called, else ``failed``."""
        if self.failure_kind is None:
            return "answered"
        called = self.progress.attempts > 0 or self.progress.outcome_unknown
        return "not_run" if self.failure_kind in NOT_RUN and not called else "failed"


def finished(item: Delivered[Event], ended: Ended) -> Finished:
    """The finished event of a request. An answer that no event can carry is a failure."""
    try:
        return _finished(item, ended)
    except RecordTooLarge as error:
        failed = replace(
            ended, text=None, failure_kind="answer-too-large", failure_message=str(error)
        )
        return _finished(item, failed)


def _finished(item: Delivered[Event], ended: Ended) -> Finished:
    request = item.event
    assert isinstance(request, CompletionRequested)
    row, progress = _row(item, request, ended), ended.progress
    return Finished(
        key=Key(item.tenant_id, request.completion_id),
        headers={name: value.decode() for name, value in to_headers(row.envelope)},
        payload=row.payload,
        outcome=ended.outcome,
        model_called=progress.model_called,
        tokens=progress.tokens,
        cost_usd=progress.cost_usd,
        price_version=progress.price_version,
    )


def _row(item: Delivered[Event], request: CompletionRequested, ended: Ended) -> OutboxRow:
    now = datetime.now(UTC)
    emit = item.emit(COMPLETION_FINISHED, _event(item, request, ended, now))
    return derive([emit], SERVICE, now, {item.envelope.id: traceparent_of()})[0]


def _event(
    item: Delivered[Event], request: CompletionRequested, ended: Ended, now: datetime
) -> CompletionFinished:
    progress = ended.progress
    queued = (progress.last_started or now) - item.envelope.time
    return CompletionFinished.model_validate(
        {
            "completion_id": request.completion_id,
            "model": request.model,
            "model_used": None if ended.model_used is None else storable(ended.model_used),
            "model_called": progress.model_called,
            "tried": tuple(
                Tried(model=one.model, attempts=one.attempts, failure_kind=one.failure_kind)
                for one in progress.given_up
            ),
            "origin": request.origin,
            "outcome": ended.outcome,
            "text": None if ended.text is None else storable(ended.text),
            "finish_reason": storable(ended.finish_reason or "") or None,
            "failure": _failure(ended),
            "usage": _usage(progress),
            "cost": _cost(progress),
            "attempts": progress.attempts,
            "repairs": progress.repairs,
            "queue_ms": max(0, round(queued.total_seconds() * 1000)),
            "provider_ms": _milliseconds(progress.provider_seconds),
            "first_token_ms": _milliseconds(progress.first_token_seconds),
            "not_settable": progress.not_settable,
            "from_cache": progress.from_cache,
            "outcome_unknown": progress.outcome_unknown,
            "simulated": progress.simulated,
            "finished_at": now,
        }
    )


def _failure(ended: Ended) -> Failure | None:
    if ended.failure_kind is None:
        return None
    return Failure(kind=ended.failure_kind, message=storable(ended.failure_message))


def _usage(progress: Progress) -> Usage | None:
    tokens = progress.tokens
    if tokens is None:
        return None
    return Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cached_input_tokens=tokens.cached,
        reasoning_tokens=tokens.reasoning,
    )


def _cost(progress: Progress) -> Cost | None:
    """Of all attempts. A sum that leaves out a call without a price would be no sum."""
    if progress.attempts == 0:
        return None
    known = progress.cost_unknown is None
    return Cost(
        usd=(progress.cost_usd or Decimal(0)) if known else None,
        price_version=progress.price_version,
        unknown=progress.cost_unknown,
        complete=progress.complete,
    )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
