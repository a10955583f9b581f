"""The ops port of a process: ``/livez``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.metrics import declare_all, exposition

Check = Callable[[], Awaitable[bool]]
CHECK_SECONDS = 2.0


def ops_app(checks: Mapping[str, Check]) -> Starlette:
    """An ASGI app that is ready when every check answers true within two seconds."""
    declare_all()

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        results = await run_checks(checks)
        ready = all(results.values())
        body = {"status": "ready" if ready else "not ready", "checks": results}
        return JSONResponse(body, status_code=200 if ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
    )


async def run_checks(checks: Mapping[str, Check]) -> dict[str, bool]:
    """Run all checks at once; one that fails or hangs is false, and harms no other."""
    names = list(checks)
    outcomes = await asyncio.gather(*(_bounded(checks[name]) for name in names))
    return dict(zip(names, outcomes, strict=True))


async def _bounded(check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except Exception:  # noqa: BLE001 - whatever it is, the answer is "not ready"
        return False
