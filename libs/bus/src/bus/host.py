"""How a service becomes a process: settings, logs, traces, log, ops port, signals, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from contracts.topics import Topic
from runtime import crash, logging, memory, tracing
from runtime.deadline import Deadline
from runtime.health import Check, ops_app
from runtime.loop_lag import loop_lag
from runtime.server import HttpServer
from runtime.settings import TLS_SCHEME, BadSettings, ServiceSettings, load
from runtime.tasks import Component

from bus.errors import LogRefused
from bus.port import Log
from bus.replay import Replays

_log = logging.logger(__name__)


@dataclass
class Service:
    """A built service: its components in starting order and its readiness checks.

    ``serving`` names the checks without which it cannot serve requests, None: all of them. What
    is not among them (the log, say) may be down without taking the service out of balance.
    """

    components: Sequence[Component]
    checks: Mapping[str, Check] = field(default_factory=dict)
    replays: Replays | None = None
    serving: frozenset[str] | None = None

    async def start(self) -> None:
        """Start the components in order; if one fails, those before it are stopped again."""
        started: list[Component] = []
        try:
            for component in self.components:
                await component.start()
                started.append(component)
        except BaseException:
            await _stop(started, Deadline(5))
            raise

    async def stop(self, deadline: Deadline) -> None:
        """Stop in reverse order; all share the deadline."""
        await _stop(self.components, deadline)


@dataclass(frozen=True)
class ServiceSpec:
    """What a composition root exports: how to build the service, and what it says of itself.

    ``subscriptions`` and ``publishes`` are held against ``contracts.topics`` by a test.
    """

    name: str
    settings: type[ServiceSettings]
    build: Callable[[Any, Log], Awaitable[Service]]
    subscriptions: tuple[Topic[Any], ...]
    publishes: tuple[Topic[Any], ...]


async def connect(settings: ServiceSettings) -> Log:
    """Open the log that ``log_url`` names, with the security that the settings beside it say.

    Raises:
        BadSettings: no such kind of log, or a file of certificates that cannot be used.
    """
    scheme, _, rest = settings.log_url.partition(":")
    if scheme in {"kafka", TLS_SCHEME}:
        from bus.kafka import KafkaLog  # noqa: PLC0415 - only who speaks Kafka loads its client
        from bus.kafka.security import from_settings  # noqa: PLC0415
        from bus.kafka.wiring import Instance  # noqa: PLC0415

        name, seconds = settings.instance, settings.instance_seconds
        return KafkaLog(
            rest.removeprefix("//"),
            security=from_settings(settings),
            instance=Instance(name, seconds) if name else None,
        )
    if scheme == "local":
        from bus.local import LocalLog  # noqa: PLC0415

        return await LocalLog.open(Path(rest))
    raise BadSettings(
        f"LIMELIGHT_LOG_URL: {scheme!r} is no log: kafka://host:port, {TLS_SCHEME}://host:port or"
        " local:PATH"
    )


def main(spec: ServiceSpec) -> None:
    """Run one service as this process until SIGTERM or SIGINT; bad settings end it with 2."""
    try:
        settings = load(spec.settings)
        uvloop.run(_run(spec, settings))
    except BadSettings as error:
        print(f"{spec.name}: {error.message}", file=sys.stderr)
        raise SystemExit(2) from None
    except LogRefused as error:
        raise SystemExit(f"{spec.name}: {error}") from None


async def _run(spec: ServiceSpec, settings: ServiceSettings) -> None:
    logging.configure(spec.name, settings.log_level, settings.log_format)
    tracing.configure(spec.name, settings.otlp_endpoint)
    log = await connect(settings)
    service = await spec.build(settings, log)
    ops = HttpServer(
        ops_app({"log": log.healthy, **service.checks}, service.serving),
        settings.ops_host,
        settings.ops_port,
        variable="LIMELIGHT_OPS_PORT",
    )
    whole = Service([loop_lag(spec.name), ops, *service.components])
    await whole.start()
    memory.settle()
    _log.info("started", ops_port=ops.port)
    died = await until_ended()
    _log.info("stopping", seconds=settings.shutdown_seconds)
    await whole.stop(Deadline(settings.shutdown_seconds))
    await log.close()
    if died is not None:
        raise SystemExit(f"{spec.name}: {died} died, see the log")


async def until_ended() -> str | None:
    """Wait for SIGTERM or SIGINT (then None), or for a background task to die (then its name).

    A second signal kills as usual.
    """
    ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def end(died: str | None) -> None:
        if not ended.done():
            ended.set_result(died)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, None)
    try:
        with crash.listening(end):
            return await ended
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):
                loop.remove_signal_handler(number)


async def _stop(components: Sequence[Component], deadline: Deadline) -> None:
    for component in reversed(components):
        try:
            await component.stop(deadline)
        except Exception:  # noqa: BLE001 - the others must stop all the same
            _log.exception("did not stop cleanly", component=type(component).__name__)
