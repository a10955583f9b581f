"""The ASGI application: routes, authentication, and the life of one chat completion call."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from devkit.simulator import errors
from devkit.simulator.answers import draw
from devkit.simulator.chat import Completion, encode, estimate_prompt_tokens, truncate
from devkit.simulator.config import SimulatorConfig
from devkit.simulator.drawing import Question, prompt_key, sample_name
from devkit.simulator.entropy import digest
from devkit.simulator.errors import ApiError
from devkit.simulator.exchange import Disconnected, Exchange, response_headers
from devkit.simulator.faults import FAULT_HEADER, Fault, FaultError, FaultKind, parse_fault
from devkit.simulator.requests import ChatRequest, parse_chat_request
from devkit.simulator.stats import CallRecord, Stats

SAMPLE_HEADER = "x-limelight-sample"


def create_app(
    config: SimulatorConfig,
    *,
    stats: Stats | None = None,
    stopping: asyncio.Event | None = None,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """Build the simulator.

    ``stats`` are the counters to use; setting ``stopping`` ends pauses and time-outs at once,
    so that a server can shut down; ``clock`` gives Unix seconds for ``created``.
    """
    counters = stats or Stats()
    chat = ChatCompletions(config, counters, stopping or asyncio.Event(), clock)
    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/models", _models_endpoint(config), methods=["GET"]),
        Route("/_simulator/stats", _stats_endpoint(counters), methods=["GET"]),
    ]
    handlers = {HTTPException: _routing_failed, Exception: _crashed}
    return Starlette(routes=routes, exception_handlers=handlers)


class ChatCompletions:
    """``POST /v1/chat/completions`` as a bare ASGI application, which may leave off half-way."""

    def __init__(
        self,
        config: SimulatorConfig,
        stats: Stats,
        stopping: asyncio.Event,
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._stats = stats
        self._stopping = stopping
        self._clock = clock
        self._fingerprints = _fingerprints(config)
        self._attempts: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call and count it, however it ends."""
        exchange = Exchange(scope, receive, send, self._stopping)
        with self._stats.call() as record:
            try:
                await self._run(exchange, record)
            except ApiError as error:
                await exchange.fail(error)
            except Disconnected:
                return  # nobody is left to answer; counted as no response
            finally:
                record.status = exchange.status or record.status

    async def _run(self, exchange: Exchange, record: CallRecord) -> None:
        _authenticate(exchange.headers)
        request = parse_chat_request(await exchange.read())
        if request.model not in self._config.truth.model_by_id:
            raise errors.model_not_found(request.model)
        record.model = request.model
        identity, attempt = self._count_attempt(request)
        fault = self._fault(exchange.headers, identity, attempt)
        record.fault = fault.label
        await exchange.pause(fault.latency_s)
        await self._respond(exchange, request, fault, attempt)

    def _count_attempt(self, request: ChatRequest) -> tuple[str, int]:
        """Which attempt (from 0) this is of an identical request: model, messages and seed.

        Counting per request rather than overall makes repeats reproducible however calls
        interleave. It costs about 200 bytes for each distinct request.
        """
        identity = f"{prompt_key(request.model, request.messages)}/{request.seed}"
        attempt = self._attempts[identity]
        self._attempts[identity] = attempt + 1
        return identity, attempt

    def _fault(self, headers: Mapping[bytes, bytes], identity: str, attempt: int) -> Fault:
        asked = headers.get(FAULT_HEADER.encode())
        if asked is None:
            return self._config.faults.draw(self._config.seed, identity, attempt)
        try:
            return parse_fault(asked.decode("latin-1")).at_attempt(attempt)
        except FaultError as error:
            raise errors.bad_request(f"{FAULT_HEADER}: {error}", FAULT_HEADER) from error

    async def _respond(
        self, exchange: Exchange, request: ChatRequest, fault: Fault, attempt: int
    ) -> None:
        if fault.kind is FaultKind.STATUS:
            raise errors.injected(fault.status, fault.retry_after_s)
        if fault.kind is FaultKind.TIMEOUT:
            await exchange.hang(fault.timeout_s)
            return
        sample = sample_name(request.seed, attempt)
        completion = self._complete(request, sample, attempt)
        headers = {SAMPLE_HEADER: sample}
        if request.stream:
            events = list(completion.chunks(request.include_usage, self._config.stream_words))
            await exchange.stream(events, fault.kind, headers)
        else:
            await exchange.answer(completion.body(), fault.kind, headers)

    def _complete(self, request: ChatRequest, sample: str, attempt: int) -> Completion:
        question = Question(request.model, request.messages, sample)
        answer = draw(self._config, question)
        text, finish_reason = truncate(answer.text, request.max_tokens)
        seed = str(self._config.seed)
        identifier = digest(seed, "id", question.prompt_key, sample, str(attempt))
        return Completion(
            id=f"chatcmpl-{identifier:032x}",
            created=int(self._clock()),
            model=request.model,
            fingerprint=self._fingerprints[request.model],
            text=text,
            finish_reason=finish_reason,
            prompt_tokens=estimate_prompt_tokens(request.messages),
        )


def _fingerprints(config: SimulatorConfig) -> dict[str, str]:
    models = config.truth.model_by_id
    return {model: f"fp_{digest(str(config.seed), model):032x}"[:13] for model in models}


def _authenticate(headers: Mapping[bytes, bytes]) -> None:
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not key.strip():
        raise errors.unauthenticated()


def _models_endpoint(config: SimulatorConfig) -> Callable[[Request], Awaitable[Response]]:
    listed = [
        {"id": model.id, "object": "model", "created": 0, "owned_by": "limelight-simulator"}
        for model in config.truth.models
    ]
    body = {"object": "list", "data": listed, "simulated": True}

    async def models(request: Request) -> Response:
        try:
            _authenticate(dict(request.headers.raw))
        except ApiError as error:
            return _json(error.body(), error.status)
        return _json(body)

    return models


def _stats_endpoint(stats: Stats) -> Callable[[Request], Awaitable[Response]]:
    async def snapshot(_request: Request) -> Response:
        return _json(stats.snapshot() | {"simulated": True})

    return snapshot


async def _routing_failed(request: Request, failure: Exception) -> Response:
    status = failure.status_code if isinstance(failure, HTTPException) else 500
    message = f"Invalid URL ({request.method} {request.url.path})"
    return _json(ApiError(status, message).body(), status)


async def _crashed(_request: Request, failure: Exception) -> Response:
    error = ApiError(500, f"The simulator itself failed: {failure!r}", kind="simulator_error")
    return _json(error.body(), error.status)


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    response = Response(encode(body), status)
    response.raw_headers = response_headers(b"application/json", len(response.body))
    return response
