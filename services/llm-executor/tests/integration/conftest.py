"""A provider that answers whatever a test wants, for what no simulator does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from runtime.deadline import Deadline
from runtime.server import HttpServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


class OddProvider:
    """Answers every request with the next of ``answers``, the last one again and again.

    Keeps what it was asked: ``bodies``, ``headers``, ``paths`` and the clients' ``ports``.
    """

    def __init__(self) -> None:
        self.answers: list[Response] = []
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.ports: list[int] = []
        route = Route("/{path:path}", self._answer, methods=["GET", "POST"])
        self.server = HttpServer(Starlette(routes=[route]), "127.0.0.1", 0)

    @property
    def url(self) -> str:
        """Its address, with the path that OpenAI's clients are configured with."""
        return f"{self.server.url}/v1"

    def says(self, body: object, status: int = 200, **headers: str) -> None:
        """Answer with JSON next."""
        raw = json.dumps(body)
        self.answers.append(Response(raw, status, headers, media_type="application/json"))

    def says_raw(self, content: bytes | str, status: int = 200, kind: str = "text/html") -> None:
        """Answer with just that next."""
        self.answers.append(Response(content, status, media_type=kind))

    def streams(self, *pieces: bytes, then: Any = None) -> None:
        """Answer with a stream of these pieces next; ``then`` runs after the last."""

        async def body() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece
            if then is not None:
                await then()

        self.answers.append(StreamingResponse(body(), media_type="text/event-stream"))

    async def _answer(self, request: Request) -> Response:
        raw = await request.body()
        self.bodies.append(json.loads(raw) if raw else None)
        self.headers.append(dict(request.headers))
        self.paths.append(str(request.url).removeprefix(self.server.url))
        assert request.client is not None
        self.ports.append(request.client.port)
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)


@pytest_asyncio.fixture
async def odd() -> AsyncIterator[OddProvider]:
    """Listens until the test is over."""
    made = OddProvider()
    await made.server.start()
    yield made
    await made.server.stop(Deadline(1))
