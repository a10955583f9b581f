"""``limelight dlq``: look at dead letters and replay them.

Talks to the all-in-one that runs on this directory; with LIMELIGHT_LOG_URL set it works on that
log itself, and for a replay builds the service from the environment like its own process does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer
from bus.host import connect
from bus.port import Log
from bus.replay import DlqView, Replays
from rich.table import Table
from runtime.settings import load

from allinone import dead_letters
from allinone.cli.shell import clear_errors, out
from allinone.client import control
from allinone.services import SERVICES, service_named

app = typer.Typer(help="Dead letters: list, show, replay.", no_args_is_help=True)
T = TypeVar("T")
V = TypeVar("V", bound=DlqView)

Service = Annotated[str, typer.Argument(help="service that rejected the records")]
Topic = Annotated[str, typer.Argument(help="topic the records came from")]
Place = Annotated[str, typer.Argument(help="PARTITION:OFFSET, as the list shows it")]


@app.command("list")
def list_letters(
    service: Annotated[str | None, typer.Option(help="only of this service")] = None,
) -> None:
    """Show what could not be processed, and why."""
    with clear_errors():
        rows = _listed(service)
    table = Table("service", "topic", "at", "reason", "attempts", "buried", "replayed", "message")
    for row in rows:
        table.add_row(
            row["service"],
            row["topic"],
            row["at"],
            row["reason"],
            str(row["attempts"]),
            row["buried"][:19],
            "yes" if row["replayed"] else "no",
            row["message"],
        )
    out.print(table)


@app.command()
def show(service: Service, topic: Topic, at: Place) -> None:
    """Show one dead letter: key, headers and body."""
    with clear_errors():
        letter = _shown(service, topic, at)
    for name, value in letter["headers"]:
        out.print(f"{name}: {value}", markup=False, soft_wrap=True)
    out.print(f"key: {letter['key']}", markup=False, soft_wrap=True)
    out.print(str(letter["body"]), markup=False, soft_wrap=True)


@app.command()
def replay(
    service: Service,
    topic: Annotated[str | None, typer.Option(help="only of this topic")] = None,
    at: Annotated[str | None, typer.Option(help="only the one at PARTITION:OFFSET")] = None,
) -> None:
    """Run dead letters through the handler again; those that fail go back with a new reason."""
    with clear_errors():
        done = _replayed(service, topic, at)
    out.print(f"applied {done['applied']}, rejected again {done['rejected']}")
    if done["rejected"]:
        raise typer.Exit(1)


def _listed(service: str | None) -> list[dict[str, Any]]:
    if _log_url() is None:
        rows: list[dict[str, Any]] = control("GET", "/control/dlq", service=service)
        return rows

    async def work(views: dict[str, DlqView]) -> list[dict[str, Any]]:
        chosen = dead_letters.chosen(views, service)
        return [asdict(row) for row in await dead_letters.listed(chosen)]

    return _on_log(_views, work)


def _shown(service: str, topic: str, at: str) -> dict[str, Any]:
    if _log_url() is None:
        letter: dict[str, Any] = control(
            "GET", "/control/dlq/show", service=service, topic=topic, at=at
        )
        return letter
    return _on_log(_views, lambda views: dead_letters.shown(views, service, topic, at))


def _replayed(service: str, topic: str | None, at: str | None) -> dict[str, Any]:
    if _log_url() is None:
        done: dict[str, Any] = control(
            "POST", "/control/dlq/replay", service=service, topic=topic, at=at
        )
        return done

    async def work(replays: dict[str, Replays]) -> dict[str, Any]:
        return asdict(await dead_letters.replayed(replays, service, topic, at))

    return _on_log(lambda log: _handlers(log, service), work)


def _log_url() -> str | None:
    return os.environ.get("LIMELIGHT_LOG_URL")


def _on_log(
    make: Callable[[Log], Awaitable[dict[str, V]]],
    work: Callable[[dict[str, V]], Awaitable[T]],
) -> T:
    async def run() -> T:
        log = await connect(_log_url() or "")
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
