"""One function per topic: claim the completion, make the call, record its end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bus.codec import Delivered
from bus.errors import RecordTooLarge, Unavailable
from bus.failpoint import hit
from bus.outbox import OutboxRow, derive
from contracts import telemetry
from contracts.envelope import to_headers
from contracts.events.base import Event
from contracts.events.completion import (
    CompletionFinished,
    CompletionRequested,
    Failure,
    Usage,
)
from contracts.topics import COMPLETION_FINISHED
from runtime.logging import logger
from runtime.metrics import counter
from runtime.tracing import traceparent_of

from llm_executor.calling import SERVICE, CallPolicy, attempt_call
from llm_executor.domain.models import Attempted, Call, Claim, Key, Turn
from llm_executor.domain.ports import CallStore, Providers
from llm_executor.domain.rules import storable

_log = logger(__name__)


@dataclass(frozen=True)
class Executor:
    """What handling a request needs, and the calls it is making (``active``).

    A claim that someone else holds is looked at again after ``held_seconds``.
    """

    store: CallStore
    providers: Providers
    policy: CallPolicy
    lease_seconds: float = 15.0
    held_seconds: float = 1.0
    active: set[Key] = field(default_factory=set)


async def on_completion_requested(item: Delivered[Event], executor: Executor) -> None:
    """Make the call once; when delivered again, publish the stored answer again.

    Raises:
        Unavailable: the store is down, or another process holds the claim: look again later.
    """
    request = item.event
    assert isinstance(request, CompletionRequested)
    key = Key(item.tenant_id, request.completion_id)
    hit("call-before-claim")
    claim = await executor.store.claim(key, executor.lease_seconds)
    hit("call-after-claim")
    if claim is Claim.HELD:
        raise Unavailable("another process is at this call", retry_after=executor.held_seconds)
    if claim is Claim.FINISHED:
        await executor.store.publish_again(key)
        return
    if claim is Claim.TAKEN_OVER:
        _outcome_unknown(key)
    executor.active.add(key)
    try:
        await _call_and_record(item, request, key, executor)
    except Exception:
        await executor.store.release(key)
        raise
    finally:
        executor.active.discard(key)


async def _call_and_record(
    item: Delivered[Event], request: CompletionRequested, key: Key, executor: Executor
) -> None:
    ended = await attempt_call(
        executor.providers,
        request.model,
        lambda model: _call(request, model),
        request.deadline_at,
        executor.policy,
    )
    hit("call-after-reply")
    await _record(item, request, key, ended, executor.store)
    hit("call-after-record")


def _outcome_unknown(key: Key) -> None:
    counter(telemetry.OUTCOME_UNKNOWN).labels(SERVICE).inc()
    _log.warning(
        "calling again: an earlier process may have made this call and not recorded it",
        completion_id=str(key.completion_id),
        tenant=key.tenant_id,
    )


def _call(request: CompletionRequested, model: str) -> Call:
    return Call(
        model=model,
        turns=tuple(Turn(message.role, message.content) for message in request.messages),
        seed=request.seed,
        temperature=request.temperature,
        max_output_tokens=request.max_output_tokens,
    )


async def _record(
    item: Delivered[Event],
    request: CompletionRequested,
    key: Key,
    ended: Attempted,
    store: CallStore,
) -> None:
    try:
        row = _row(item, request, ended)
    except RecordTooLarge as error:
        row = _row(item, request, _without_answer(ended, str(error)))
    headers = {name: value.decode() for name, value in to_headers(row.envelope)}
    if not await store.record(key, headers, row.payload):
        _log.warning("another process recorded this call first", completion=str(key.completion_id))


def _row(item: Delivered[Event], request: CompletionRequested, ended: Attempted) -> OutboxRow:
    now = datetime.now(UTC)
    emit = item.emit(COMPLETION_FINISHED, _finished(item, request, ended, now))
    return derive([emit], SERVICE, now, {item.envelope.id: traceparent_of()})[0]


def _without_answer(ended: Attempted, said: str) -> Attempted:
    """An answer that no event can carry is a failure that is told, not a call made for ever."""
    return replace(ended, reply=None, failure_kind="answer-too-large", failure_message=said)


def _finished(
    item: Delivered[Event], request: CompletionRequested, ended: Attempted, now: datetime
) -> CompletionFinished:
    reply = ended.reply
    queued = (ended.last_started or now) - item.envelope.time
    return CompletionFinished(
        completion_id=request.completion_id,
        model=request.model,
        model_used=None if reply is None else storable(reply.model),
        origin=request.origin,
        outcome="failed" if reply is None else "answered",
        text=None if reply is None else storable(reply.text),
        finish_reason=None if reply is None else storable(reply.finish_reason or "") or None,
        failure=_failure(ended),
        usage=_usage(ended),
        attempts=ended.attempts,
        queue_ms=max(0, round(queued.total_seconds() * 1000)),
        provider_ms=(
            None if ended.provider_seconds is None else round(ended.provider_seconds * 1000)
        ),
        simulated=ended.simulated,
        finished_at=now,
    )


def _failure(ended: Attempted) -> Failure | None:
    if ended.failure_kind is None:
        return None
    return Failure(kind=ended.failure_kind, message=storable(ended.failure_message or ""))


def _usage(ended: Attempted) -> Usage | None:
    reply = ended.reply
    if reply is None or reply.input_tokens is None or reply.output_tokens is None:
        return None
    return Usage(input_tokens=reply.input_tokens, output_tokens=reply.output_tokens)
