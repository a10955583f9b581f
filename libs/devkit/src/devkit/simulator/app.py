"""The ASGI application: its routes, and what is not a call of a model."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devkit.simulator.calls import Endpoint, Simulation, checked_prompt_tokens
from devkit.simulator.config import SimulatorConfig
from devkit.simulator.exchange import response_headers
from devkit.simulator.stats import Stats
from devkit.simulator.stopping import Stopping
from devkit.simulator.wire import models_list
from devkit.simulator.wire.chat import ChatCompletions
from devkit.simulator.wire.dialect import Dialect
from devkit.simulator.wire.encoding import encode
from devkit.simulator.wire.errors import ApiError, too_large
from devkit.simulator.wire.messages import VERSION_HEADER, Messages
from devkit.simulator.wire.messages_request import parse_messages_request
from devkit.simulator.wire.responses import Responses

_PREFIXES = ("/v1", "/api/v1")  # OpenAI's, and OpenRouter's
_ANTHROPIC_PATH = "/v1/messages"
_CHAT, _RESPONSES, _MESSAGES = ChatCompletions(), Responses(), Messages()

Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    config: SimulatorConfig,
    *,
    stats: Stats | None = None,
    stopping: Stopping | None = None,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """Build the simulator.

    ``stats`` are the counters to use; setting ``stopping`` ends pauses and time-outs at once,
    so that a server can shut down; ``clock`` gives Unix seconds for ``created``.
    """
    shared = Simulation(config, stats or Stats(), stopping or Stopping(), clock)
    plain = _PlainEndpoints(shared)
    routes = [
        *(route for prefix in _PREFIXES for route in _openai_routes(prefix, shared, plain)),
        Route(_ANTHROPIC_PATH, Endpoint(shared, _MESSAGES), methods=["POST"]),
        Route(f"{_ANTHROPIC_PATH}/count_tokens", plain.count_tokens, methods=["POST"]),
        Route("/_simulator/stats", plain.stats, methods=["GET"]),
        Route("/_simulator/calls", plain.calls, methods=["GET"]),
    ]
    handlers = {HTTPException: plain.routing_failed, Exception: plain.crashed}
    return Starlette(routes=routes, exception_handlers=handlers)


def _openai_routes(prefix: str, shared: Simulation, plain: _PlainEndpoints) -> list[Route]:
    return [
        Route(f"{prefix}/chat/completions", Endpoint(shared, _CHAT), methods=["POST"]),
        Route(f"{prefix}/responses", Endpoint(shared, _RESPONSES), methods=["POST"]),
        Route(f"{prefix}/models", plain.models, methods=["GET"]),
        Route(f"{prefix}/models/{{model:path}}", plain.model, methods=["GET"]),
    ]


class _PlainEndpoints:
    """What is answered at once and counted nowhere."""

    def __init__(self, shared: Simulation) -> None:
        self._shared = shared
        self._openrouter = models_list.openrouter_models(shared.config)
        self._anthropic = models_list.anthropic_models(shared.config)

    async def models(self, request: Request) -> Response:
        """The declared models, in the shape of the API that asks."""

        def page() -> Mapping[str, object]:
            if _speaks(request) is _MESSAGES:
                return models_list.anthropic_page(self._anthropic)
            return models_list.openrouter_page(self._openrouter)

        return self._authenticated(request, page)

    async def model(self, request: Request) -> Response:
        """One declared model."""
        name, dialect = request.path_params["model"], _speaks(request)
        listed = self._anthropic if dialect is _MESSAGES else self._openrouter

        def one() -> Mapping[str, object]:
            found = next((model for model in listed if model["id"] == name), None)
            if found is None:
                raise dialect.model_not_found(name)
            return found | {"simulated": True}

        return self._authenticated(request, one)

    async def count_tokens(self, request: Request) -> Response:
        """The prompt tokens of an Anthropic request."""
        raw = await request.body()

        def counted() -> Mapping[str, object]:
            if len(raw) > self._shared.config.max_request_bytes:
                raise too_large(self._shared.config.max_request_bytes)
            ask = parse_messages_request(raw, counting=True)
            settings = self._shared.settings.get(ask.model)
            if settings is None:
                raise _MESSAGES.model_not_found(ask.model)
            tokens = checked_prompt_tokens(_MESSAGES, ask, settings)
            return {"input_tokens": tokens, "simulated": True}

        return self._authenticated(request, counted)

    def _authenticated(
        self, request: Request, answer: Callable[[], Mapping[str, object]]
    ) -> Response:
        dialect = _speaks(request)
        try:
            dialect.authenticate(dict(request.headers.raw))
            return _json(encode(answer()))
        except ApiError as error:
            return self._failed(dialect, error)

    async def stats(self, _request: Request) -> Response:
        """The counters."""
        return _json(encode(self._shared.stats.snapshot() | {"simulated": True}))

    async def calls(self, request: Request) -> Response:
        """How often each request was made; with ``?repeated=true`` those made more than once."""
        least = 2 if request.query_params.get("repeated") == "true" else 1
        counted = self._shared.attempts.items()
        calls = {identity: times for identity, times in counted if times >= least}
        return _json(encode({"calls": calls, "simulated": True}))

    async def routing_failed(self, request: Request, failure: Exception) -> Response:
        """404 and 405, in the shape of the API whose address it resembles."""
        status = failure.status_code if isinstance(failure, HTTPException) else 500
        message = f"Invalid URL ({request.method} {request.url.path})"
        return self._failed(_speaks(request), ApiError(status, message))

    async def crashed(self, request: Request, failure: Exception) -> Response:
        """500: an error of the simulator itself."""
        message = f"The simulator itself failed: {failure!r}"
        return self._failed(_speaks(request), ApiError(500, message, kind="simulator_error"))

    def _failed(self, dialect: Dialect, error: ApiError) -> Response:
        request_id = self._shared.request_id()
        body = dialect.error_body(error, request_id)
        return _json(body, error.status, dialect.headers(request_id))


def _speaks(request: Request) -> Dialect:
    named = VERSION_HEADER.decode() in request.headers
    return _MESSAGES if named or request.url.path.startswith(_ANTHROPIC_PATH) else _CHAT


def _json(body: bytes, status: int = 200, extra: Mapping[str, str] | None = None) -> Response:
    response = Response(body, status)
    response.raw_headers = response_headers(b"application/json", len(body), extra)
    return response
