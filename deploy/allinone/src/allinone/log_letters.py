"""Dead letters on the log that LIMELIGHT_LOG_URL names, without a running all-in-one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

from bus.host import connect
from bus.port import Log
from bus.replay import DlqView, Replays
from runtime.settings import ServiceSettings, load

from allinone import dead_letters
from allinone.services import SERVICES, service_named

T = TypeVar("T")
V = TypeVar("V", bound=DlqView)


def listed(service: str | None) -> list[dict[str, Any]]:
    """Dead letters of all services, or of one."""

    async def work(views: dict[str, DlqView]) -> list[dict[str, Any]]:
        chosen = dead_letters.chosen(views, service)
        return [asdict(row) for row in await dead_letters.listed(chosen)]

    return _on_log(_views, work)


def shown(service: str, topic: str, at: str) -> dict[str, Any]:
    """One dead letter."""
    return _on_log(_views, lambda views: dead_letters.shown(views, service, topic, at))


def replayed(service: str, topic: str | None, at: str | None) -> dict[str, Any]:
    """Run dead letters through the service's handlers again, on its own stores."""

    async def work(replays: dict[str, Replays]) -> dict[str, Any]:
        return asdict(await dead_letters.replayed(replays, service, topic, at))

    return _on_log(lambda log: _handlers(log, service), work)


def _on_log(
    make: Callable[[Log], Awaitable[dict[str, V]]],
    work: Callable[[dict[str, V]], Awaitable[T]],
) -> T:
    async def run() -> T:
        log = await connect(load(ServiceSettings))
        try:
            return await work(await make(log))
        finally:
            await log.close()

    return asyncio.run(run())


async def _views(log: Log) -> dict[str, DlqView]:
    return {spec.name: dead_letters.view(log, spec) for spec in SERVICES}


async def _handlers(log: Log, service: str) -> dict[str, Replays]:
    """The real handlers of one service, on its own stores, without its consumer."""
    try:
        spec = service_named(service)
    except KeyError:
        return {}
    built = await spec.build(load(spec.settings), log)
    return {} if built.replays is None else {service: built.replays}
