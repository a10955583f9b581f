"""The ops port of a process: ``/livez``, ``/readyz``, ``/servez`` and ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.metrics import declare_all, exposition

Check = Callable[[], Awaitable[bool]]
CHECK_SECONDS = 2.0


class Checks:
    """Runs readiness checks side by side; one that fails or hangs is false and harms no other.

    A check that hangs is left alone, not awaited: drivers wait for their server even to cancel.
    While it hangs its answer stays false, and it is not started a second time.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._running: dict[str, asyncio.Task[bool]] = {}

    async def run(self) -> dict[str, bool]:
        """The answer of every check, within ``CHECK_SECONDS``; callers at once share it."""
        tasks = {name: self._running_or_begun(name) for name in self._checks}
        if tasks:
            await asyncio.wait(tasks.values(), timeout=CHECK_SECONDS)
        return {name: task.done() and task.result() for name, task in tasks.items()}

    def _running_or_begun(self, name: str) -> asyncio.Task[bool]:
        task = self._running.get(name)
        if task is None or task.done():  # an answer that came too late is of no use now
            task = self._running[name] = asyncio.create_task(_answer(self._checks[name]))
        return task


async def _answer(check: Check) -> bool:
    try:
        return await check()
    except Exception:  # noqa: BLE001 - whatever it is, the answer is "not ready"
        return False


def ops_app(checks: Mapping[str, Check], serving: AbstractSet[str] | None = None) -> Starlette:
    """An ASGI app that is ready when every check answers true within two seconds.

    ``serving`` names the checks without which no request can be served, None: all of them.
    ``/servez`` goes by these alone, so that what can wait for the rest still gets its requests.

    Raises:
        ValueError: ``serving`` names a check that there is not.
    """
    declare_all()
    readiness = Checks(checks)
    needed = frozenset(checks if serving is None else serving)
    if unknown := needed - checks.keys():
        raise ValueError(f"no such check: {', '.join(sorted(unknown))}")

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        results = await readiness.run()
        return _said(results, all(results.values()))

    async def servez(_: Request) -> Response:
        results = await readiness.run()
        return _said(results, all(results[name] for name in needed))

    async def metrics(_: Request) -> Response:
        return Response(exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/servez", servez),
            Route("/metrics", metrics),
        ]
    )


def _said(results: Mapping[str, bool], ready: bool) -> Response:
    body = {"status": "ready" if ready else "not ready", "checks": results}
    return JSONResponse(body, status_code=200 if ready else 503)
