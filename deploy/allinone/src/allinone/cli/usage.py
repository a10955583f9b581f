"""``limelight usage``: what keys have asked of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.table import Table

from allinone.cli.shell import clear_errors, out
from allinone.client import Api


def usage(
    start: Annotated[
        datetime | None, typer.Option("--from", help="UTC; default: 7 days ago")
    ] = None,
    end: Annotated[datetime | None, typer.Option("--to", help="UTC; default: now")] = None,
    key: Annotated[str | None, typer.Option(help="id of one key; default: all you may see")] = None,
    by: Annotated[str, typer.Option(help="day, hour or endpoint")] = "day",
) -> None:
    """Show how much was asked, by day, hour or endpoint; some seconds behind."""
    wanted = {
        "from": None if start is None else f"{start.isoformat()}Z",
        "to": None if end is None else f"{end.isoformat()}Z",
        "key_id": key,
        "by": by,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    with clear_errors():
        found = Api.from_environment().call("GET", f"/v1/usage?{urlencode(given)}")
    table = Table(by, "requests", "refused", "errors", "mean s", "longest s", "in", "out")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in found["items"]:
        table.add_row(*_cells(_named(row), row))
    table.add_row(*_cells("total", found["total"]), style="bold")
    out.print(table)


def _named(row: dict[str, Any]) -> str:
    if row["route"] is not None:
        return f"{row['method']} {row['route']}"
    return str(row["starts_at"])[:16]


def _cells(name: str, row: dict[str, Any]) -> list[str]:
    mean = row["seconds"] / row["requests"] if row["requests"] else 0.0
    return [
        name,
        str(row["requests"]),
        str(row["refused"]),
        str(row["errors"]),
        f"{mean:.3f}",
        f"{row['longest_seconds']:.3f}",
        str(row["request_bytes"]),
        str(row["response_bytes"]),
    ]
