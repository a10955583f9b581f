"""One attempt at one model: the call itself, with its span, its counts and its price."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts import telemetry
from opentelemetry.trace import Span, SpanKind
from runtime.metrics import counter, histogram
from runtime.tracing import recorded, tracer

from llm_executor.calling.progress import Progress, Stage, Watch
from llm_executor.domain import SERVICE
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.lane import Seat
from llm_executor.domain.models import Call, ModelFacts, Reply
from llm_executor.domain.ports import OnText, Provider

_TRACER = tracer("limelight.llm_executor")


@dataclass(frozen=True)
class Attempt:
    """A model that is tried for a completion; ``make`` once for each attempt."""

    provider: Provider
    provider_name: str
    model: str
    facts: ModelFacts
    progress: Progress
    watch: Watch

    def check_context(self, least: int) -> None:
        """Refuse a prompt that surely does not fit, before it costs anything."""
        limit = self.facts.context_tokens
        if limit is not None and least > limit:
            raise CallFailed(
                "context-too-long",
                f"the prompt has at least {least} tokens, {self.model} takes {limit}: shorten "
                "the prompt or choose a model with a longer context",
            )

    async def make(
        self,
        call: Call,
        seat: Seat,
        timeout: float,
        on_text: Callable[[str, int, bool], OnText] | None,
    ) -> Reply:
        """One call, told to the seat, the progress, the metrics and a span."""
        progress = self.progress
        progress.attempts += 1
        progress.model_called = self.model
        progress.last_started = datetime.now(UTC)
        watcher = (
            None
            if on_text is None
            else on_text(self.model, progress.attempts, self.provider.simulated)
        )
        if not recorded():
            return await self._timed(call, seat, timeout, watcher)
        with _TRACER.start_as_current_span(
            f"chat {call.model}", kind=SpanKind.CLIENT, record_exception=False
        ) as span:
            self._describe(span, call, streamed=watcher is not None)
            reply = await self._timed(call, seat, timeout, watcher)
            self._describe_reply(span, reply)
        return reply

    async def _timed(self, call: Call, seat: Seat, timeout: float, watcher: OnText | None) -> Reply:
        started, outcome = time.perf_counter(), "interrupted"
        try:
            with self.watch.at(Stage.CALLING):
                reply = await self.provider.complete(call, timeout, watcher)
            outcome = "answered"
        except CallFailed as failure:
            outcome = failure.kind
            seat.failed(failure)
            self.progress.failed(failure)
            raise
        finally:
            self.progress.provider_seconds = time.perf_counter() - started
            self._count(outcome)
        seat.succeeded(None if reply.tokens is None else reply.tokens.input + reply.tokens.output)
        self._account(reply)
        return reply

    def _count(self, outcome: str) -> None:
        counter(telemetry.PROVIDER_CALLS).labels(SERVICE, self.provider_name, outcome).inc()
        seconds = self.progress.provider_seconds
        assert seconds is not None
        histogram(telemetry.PROVIDER_SECONDS).labels(SERVICE, self.provider_name).observe(seconds)

    def _account(self, reply: Reply) -> None:
        usd = self.progress.answered(self.model, self.facts, reply)
        name = self.provider_name
        if usd is None:
            counter(telemetry.CALLS_WITHOUT_PRICE).labels(SERVICE, name).inc()
        else:
            counter(telemetry.COST).labels(SERVICE, name).inc(float(usd))
        if reply.first_token_seconds is not None:
            first = histogram(telemetry.FIRST_TOKEN_SECONDS).labels(SERVICE, name)
            first.observe(reply.first_token_seconds)
        tokens = counter(telemetry.TOKENS)
        for direction, number in _directions(reply):
            tokens.labels(SERVICE, name, direction).inc(number)

    def _describe(self, span: Span, call: Call, *, streamed: bool) -> None:
        attributes: dict[str, str | int | float | bool | None] = {
            telemetry.GENAI_OPERATION: "chat",
            telemetry.GENAI_PROVIDER: self.provider_name,
            telemetry.GENAI_REQUEST_MODEL: call.model,
            telemetry.GENAI_REQUEST_STREAM: streamed,
            telemetry.GENAI_REQUEST_SEED: call.seed,
            telemetry.GENAI_REQUEST_TEMPERATURE: call.temperature,
            telemetry.GENAI_REQUEST_MAX_TOKENS: call.max_output_tokens,
            telemetry.ATTEMPT: self.progress.attempts,
        }
        for name, value in attributes.items():
            if value is not None:
                span.set_attribute(name, value)

    def _describe_reply(self, span: Span, reply: Reply) -> None:
        attributes: dict[str, str | float | None] = {
            telemetry.GENAI_RESPONSE_MODEL: reply.model,
            telemetry.GENAI_RESPONSE_ID: reply.response_id,
            telemetry.SIMULATED: reply.simulated,
            telemetry.GENAI_FIRST_CHUNK: reply.first_token_seconds,
        }
        for direction, number in _directions(reply):
            attributes[_TOKEN_ATTRIBUTES[direction]] = number
        for name, value in attributes.items():
            if value is not None:
                span.set_attribute(name, value)
        if reply.finish_reason is not None:
            span.set_attribute(telemetry.GENAI_RESPONSE_FINISH_REASONS, [reply.finish_reason])


_TOKEN_ATTRIBUTES = {
    "input": telemetry.GENAI_INPUT_TOKENS,
    "output": telemetry.GENAI_OUTPUT_TOKENS,
    "cached": telemetry.GENAI_CACHED_TOKENS,
    "reasoning": telemetry.GENAI_REASONING_TOKENS,
}


def _directions(reply: Reply) -> list[tuple[str, int]]:
    if reply.tokens is None:
        return []
    counts = {
        "input": reply.tokens.input,
        "output": reply.tokens.output,
        "cached": reply.tokens.cached,
        "reasoning": reply.tokens.reasoning,
    }
    return [(direction, count) for direction, count in counts.items() if count]
