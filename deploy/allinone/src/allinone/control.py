"""How the command line talks to a running all-in-one: routes on the ops port, behind a token.

The local log belongs to one process, so dead letters are shown and replayed by that process.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict

from bus.errors import BusError
from bus.replay import Replays
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from allinone import dead_letters
from allinone.data_dir import DataDir, write_private

Answer = Callable[[Request], Awaitable[object]]


class Control:
    """Serves the dead letters of all services."""

    def __init__(self, data: DataDir, replays: Mapping[str, Replays]) -> None:
        self._data = data
        self._replays = replays
        self._token = secrets.token_urlsafe(32)

    def announce(self, url: str) -> None:
        """Write where the process is reached, for its owner only."""
        write_private(self._data.control, json.dumps({"url": url, "token": self._token}))

    def routes(self) -> list[Route]:
        """Routes to mount on the ops port."""
        return [
            Route("/control/dlq", self._guarded(self._list)),
            Route("/control/dlq/show", self._guarded(self._show)),
            Route("/control/dlq/replay", self._guarded(self._replay), methods=["POST"]),
        ]

    def _guarded(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not secrets.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                return JSONResponse({"error": "the token is in control.json"}, status_code=401)
            try:
                return JSONResponse(await answer(request))
            except (dead_letters.NoSuchDlq, BusError) as error:
                return JSONResponse({"error": str(error)}, status_code=422)

        return endpoint

    async def _list(self, request: Request) -> object:
        chosen = dead_letters.chosen(self._replays, request.query_params.get("service"))
        return [asdict(row) for row in await dead_letters.listed(chosen)]

    async def _show(self, request: Request) -> object:
        params = request.query_params
        return await dead_letters.shown(
            self._replays, params.get("service", ""), params.get("topic", ""), params.get("at", "")
        )

    async def _replay(self, request: Request) -> object:
        params = request.query_params
        done = await dead_letters.replayed(
            self._replays, params.get("service", ""), params.get("topic"), params.get("at")
        )
        return asdict(done)
