"""``limelight dlq``: look at dead letters and replay them.

Talks to the all-in-one that runs on this directory; with LIMELIGHT_LOG_URL set it works on that
log itself, and for a replay builds the service from the environment like its own process does.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from allinone.cli.shell import clear_errors, out
from allinone.client import control

app = typer.Typer(help="Dead letters: list, show, replay.", no_args_is_help=True)

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
        cells = (
            row["service"],
            row["topic"],
            row["at"],
            row["reason"],
            str(row["attempts"]),
            row["buried"][:19],
            "yes" if row["replayed"] else "no",
            _message(row),
        )
        table.add_row(*map(escape, cells))  # a stranger's words may look like markup
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
    if letter["note"]:
        out.print(f"This letter {letter['note']}.", markup=False, soft_wrap=True)


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


def _message(row: dict[str, Any]) -> str:
    lacking = f" (left out, so no replay: {row['left_out']})" if row["left_out"] else ""
    return f"{row['message']}{lacking}"


def _listed(service: str | None) -> list[dict[str, Any]]:
    if _on_a_log():
        from allinone import log_letters  # noqa: PLC0415 - loads every service

        return log_letters.listed(service)
    rows: list[dict[str, Any]] = control("GET", "/control/dlq", service=service)
    return rows


def _shown(service: str, topic: str, at: str) -> dict[str, Any]:
    if _on_a_log():
        from allinone import log_letters  # noqa: PLC0415

        return log_letters.shown(service, topic, at)
    letter: dict[str, Any] = control(
        "GET", "/control/dlq/show", service=service, topic=topic, at=at
    )
    return letter


def _replayed(service: str, topic: str | None, at: str | None) -> dict[str, Any]:
    if _on_a_log():
        from allinone import log_letters  # noqa: PLC0415

        return log_letters.replayed(service, topic, at)
    done: dict[str, Any] = control(
        "POST", "/control/dlq/replay", service=service, topic=topic, at=at
    )
    return done


def _on_a_log() -> bool:
    return "LIMELIGHT_LOG_URL" in os.environ
