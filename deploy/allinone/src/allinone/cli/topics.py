"""``limelight topics``: what the log must have."""

from __future__ import annotations

import asyncio
import os

import typer
from rich.table import Table

from allinone.cli.shell import clear_errors, out

app = typer.Typer(help="Topics of the event log.", no_args_is_help=True)


@app.command("list")
def list_topics() -> None:
    """Show the topics that the contracts declare, DLQs included."""
    from bus.provision import specs  # noqa: PLC0415 - other commands need not load it

    table = Table("topic", "partitions", "retention")
    for spec in specs():
        kept = "compacted" if spec.retention is None else f"{spec.retention.days} days"
        table.add_row(spec.name, str(spec.partitions), kept)
    out.print(table)


@app.command()
def apply() -> None:
    """Create what is missing on the log that LIMELIGHT_LOG_URL names; never done by itself."""
    with clear_errors():
        if "LIMELIGHT_LOG_URL" not in os.environ:
            raise ValueError("set LIMELIGHT_LOG_URL, e.g. kafka://127.0.0.1:9092")
        asyncio.run(_apply())


async def _apply() -> None:
    from bus.host import connect  # noqa: PLC0415
    from bus.provision import provision  # noqa: PLC0415
    from runtime.settings import ServiceSettings, load  # noqa: PLC0415

    log = await connect(load(ServiceSettings))
    try:
        for name in await provision(log):
            out.print(f"created {name}")
    finally:
        await log.close()
