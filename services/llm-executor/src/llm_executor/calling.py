"""Making one call: attempts with back-off until it is answered, refused or out of time."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts import telemetry
from opentelemetry.trace import Span, SpanKind
from runtime.metrics import counter, histogram
from runtime.tracing import tracer
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.stop import stop_base

from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Attempted, Call, Reply
from llm_executor.domain.ports import Provider, Providers
from llm_executor.domain.rules import back_off, split_model

SERVICE = "llm-executor"
_TRACER = tracer("limelight.llm_executor")


@dataclass(frozen=True)
class CallPolicy:
    """``timeout`` in seconds bounds one attempt, ``attempts`` their number."""

    attempts: int = 5
    timeout: float = 120.0
    rng: random.Random = field(default_factory=random.Random, compare=False)


@dataclass
class _Progress:
    """What is known of the attempts so far."""

    attempts: int = 0
    last_started: datetime | None = None
    provider_seconds: float | None = None
    simulated: bool = False


async def attempt_call(
    providers: Providers,
    model: str,
    call: Callable[[str], Call],
    deadline: datetime,
    policy: CallPolicy,
) -> Attempted:
    """Call ``provider/model`` until there is an end. Never raises CallFailed.

    ``call`` makes the call from the provider's name of the model.
    """
    provider_name, model_name = split_model(model)
    progress = _Progress()
    try:
        provider = providers.named(provider_name)
        progress.simulated = provider.simulated

        async def once() -> Reply:
            timeout = _timeout(policy, deadline)
            return await _once(provider, provider_name, call(model_name), progress, timeout)

        reply = await _retrying(policy, deadline, once)
    except CallFailed as failure:
        return _ended(progress, None, failure)
    return _ended(progress, reply, None)


async def _retrying(
    policy: CallPolicy, deadline: datetime, once: Callable[[], Awaitable[Reply]]
) -> Reply:
    retrying = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, CallFailed) and error.retryable),
        wait=lambda state: _wait(state, policy),
        stop=stop_after_attempt(policy.attempts) | _StopBefore(deadline, policy),
        reraise=True,
    )
    return await retrying(once)


def _wait(state: RetryCallState, policy: CallPolicy) -> float:
    failure = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(failure, CallFailed)
    return back_off(failure, state.attempt_number, policy.rng)


class _StopBefore(stop_base):
    """Give up when the wait before the next attempt would pass the deadline."""

    def __init__(self, deadline: datetime, policy: CallPolicy) -> None:
        self._deadline = deadline
        self._policy = policy

    def __call__(self, retry_state: RetryCallState) -> bool:
        left = (self._deadline - datetime.now(UTC)).total_seconds()
        return retry_state.upcoming_sleep >= left


def _timeout(policy: CallPolicy, deadline: datetime) -> float:
    left = (deadline - datetime.now(UTC)).total_seconds()
    if left <= 0:
        raise CallFailed(
            "deadline-passed",
            f"the deadline {deadline.isoformat()} passed before the call was made",
            retryable=False,
        )
    return min(policy.timeout, left)


async def _once(
    provider: Provider, name: str, call: Call, progress: _Progress, timeout: float
) -> Reply:
    progress.attempts += 1
    progress.last_started = datetime.now(UTC)
    started = time.perf_counter()
    outcome = "answered"
    with _TRACER.start_as_current_span(
        f"chat {call.model}", kind=SpanKind.CLIENT, record_exception=False
    ) as span:
        _describe(span, name, call)
        try:
            reply = await provider.complete(call, timeout)
        except CallFailed as failure:
            outcome = failure.kind
            raise
        finally:
            progress.provider_seconds = time.perf_counter() - started
            histogram(telemetry.PROVIDER_SECONDS).labels(SERVICE, name).observe(
                progress.provider_seconds
            )
            counter(telemetry.PROVIDER_CALLS).labels(SERVICE, name, outcome).inc()
        _describe_reply(span, name, reply)
    return reply


def _describe(span: Span, provider: str, call: Call) -> None:
    span.set_attribute(telemetry.GENAI_OPERATION, "chat")
    span.set_attribute(telemetry.GENAI_PROVIDER, provider)
    span.set_attribute(telemetry.GENAI_REQUEST_MODEL, call.model)
    if call.seed is not None:
        span.set_attribute(telemetry.GENAI_REQUEST_SEED, call.seed)
    if call.temperature is not None:
        span.set_attribute(telemetry.GENAI_REQUEST_TEMPERATURE, call.temperature)
    if call.max_output_tokens is not None:
        span.set_attribute(telemetry.GENAI_REQUEST_MAX_TOKENS, call.max_output_tokens)


def _describe_reply(span: Span, provider: str, reply: Reply) -> None:
    span.set_attribute(telemetry.GENAI_RESPONSE_MODEL, reply.model)
    span.set_attribute(telemetry.GENAI_RESPONSE_ID, reply.response_id)
    span.set_attribute(telemetry.SIMULATED, reply.simulated)
    if reply.finish_reason is not None:
        span.set_attribute(telemetry.GENAI_RESPONSE_FINISH_REASONS, [reply.finish_reason])
    tokens = counter(telemetry.TOKENS)
    if reply.input_tokens is not None:
        span.set_attribute(telemetry.GENAI_INPUT_TOKENS, reply.input_tokens)
        tokens.labels(SERVICE, provider, "input").inc(reply.input_tokens)
    if reply.output_tokens is not None:
        span.set_attribute(telemetry.GENAI_OUTPUT_TOKENS, reply.output_tokens)
        tokens.labels(SERVICE, provider, "output").inc(reply.output_tokens)


def _ended(progress: _Progress, reply: Reply | None, failure: CallFailed | None) -> Attempted:
    return Attempted(
        reply=reply,
        failure_kind=None if failure is None else failure.kind,
        failure_message=None if failure is None else str(failure),
        attempts=progress.attempts,
        last_started=progress.last_started,
        provider_seconds=progress.provider_seconds,
        simulated=progress.simulated if reply is None else reply.simulated,
    )
