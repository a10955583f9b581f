"""``limelight demo``: one small run from the request to the report."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import typer
import uvloop
from bus.host import until_ended
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from allinone.app import AllInOne, Options
from allinone.cli.shell import clear_errors, out
from allinone.cli.up import configure_logs, say_where
from allinone.client import Api, ClientError

DEMO_SECONDS = 120.0
POLL_SECONDS = 0.1
DEMO_RUN: dict[str, Any] = {
    "brands": [
        {"name": "Notion"},
        {"name": "Obsidian"},
        {"name": "Roam Research", "aliases": ["Roam"]},
        {"name": "Evernote"},
    ],
    "prompts": [
        "Which note-taking app should a small team use?",
        "What is the best app for personal knowledge management?",
        "Recommend a tool to organise research notes.",
    ],
    "models": ["simulator/sim-large", "simulator/sim-small", "simulator/sim-contrarian"],
    "samples": 5,
}


def demo(
    once: Annotated[bool, typer.Option(help="end after the report")] = False,
) -> None:
    """Start the platform, run a small visibility run on simulated models, print its report."""
    with clear_errors():
        configure_logs("WARNING")
        uvloop.run(_demo(Options.from_environment(), once=once))


async def _demo(options: Options, *, once: bool) -> None:
    limelight = AllInOne(options)
    out.print("Starting Limelight ...")
    await limelight.start()
    try:
        api = Api(limelight.url, limelight.data.demo_key())
        show(await asyncio.to_thread(run_to_end, api, DEMO_RUN))
        say_where(limelight)
        if not once:
            out.print("Serving until Ctrl-C.")
            await until_ended()
    finally:
        await limelight.stop()


def run_to_end(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    """Post a run, follow it, return its report. Raises ClientError if it does not end in time."""
    started = api.call("POST", "/v1/visibility/runs", request)
    expected = started["expected_completions"]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    until = time.monotonic() + DEMO_SECONDS
    with Progress(*columns, console=out, transient=not out.is_terminal) as progress:
        bar = progress.add_task("answers analysed", total=expected)
        while True:
            run = api.call("GET", started["links"]["run"])
            progress_now = run["progress"]
            done = sum(progress_now[end] for end in ("analyzed", "failed", "not_run"))
            progress.update(bar, completed=done)
            if run["state"] != "running":
                break
            if time.monotonic() > until:
                raise ClientError(f"the run did not end within {DEMO_SECONDS:.0f} s: {run}")
            time.sleep(POLL_SECONDS)
    report: dict[str, Any] = api.call("GET", started["links"]["report"])
    return report


def _cost(report: dict[str, Any]) -> str:
    cost = report["cost"]
    said = f"{cost['usd']} {'simulated ' if report['simulated'] else ''}USD"
    unpriced = cost["unpriced_calls"]
    return f"{said} and {unpriced} calls without a known price" if unpriced else said


def show(report: dict[str, Any]) -> None:
    """Print a report as a table: answers that name the brand, of all analysed answers."""
    models = [item["model"] for item in report["brands"][0]["models"]]
    origin = "SIMULATED answers" if report["simulated"] else "answers of real models"
    table = Table(title=f"Named in how many answers ({origin})", title_justify="left")
    table.add_column("Brand")
    for model in models:
        table.add_column(model.removeprefix("simulator/"), justify="right")
    table.add_column("all", justify="right")
    table.add_column("mentions", justify="right")
    for brand in report["brands"]:
        cells = [f"{item['named_in']} of {item['answers']}" for item in brand["models"]]
        table.add_row(
            brand["name"],
            *cells,
            f"{brand['named_in']} of {brand['answers']}",
            str(brand["mentions"]),
        )
    out.print(table)
    progress = report["progress"]
    out.print(
        f"Run {report['run_id']}: {report['state']}, {progress['analyzed']} of "
        f"{progress['expected']} answers analysed, {progress['failed']} calls failed, "
        f"{progress['not_run']} not made; cost {_cost(report)}."
    )
    for failure in report["failures"]:
        out.print(f"  {failure['count']} x {failure['model']}: {failure['kind']}", markup=False)
