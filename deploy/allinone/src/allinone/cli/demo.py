"""``limelight demo``: a run and an import, from the request to the report."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer

from allinone.cli.following import POLL_SECONDS, to_end
from allinone.cli.imports import put_brands, upload
from allinone.cli.report import show
from allinone.cli.shell import clear_errors, out
from allinone.cli.up import configure_logs, run, say_where
from allinone.client import Api
from allinone.options import Options

DEMO_SECONDS = 120.0
MODELS_SECONDS = 20.0
SAMPLE = "sample_answers.jsonl"
BRANDS: list[dict[str, Any]] = [
    {"name": "Notion", "domains": ["notion.so"], "own": True},
    {"name": "Obsidian", "domains": ["obsidian.md"]},
    {"name": "Evernote", "domains": ["evernote.com"]},
]
TEAM, PRIVACY = ["team"], ["privacy"]
DEMO_RUN: dict[str, Any] = {
    "name": "demo",
    "brands": BRANDS,
    "prompts": [
        {"text": "Which note-taking app should a small team use?", "tags": TEAM},
        {"text": "What is a good wiki for our company?", "tags": TEAM},
        {"text": "How do teams keep their meeting notes together?", "tags": TEAM},
        {"text": "Best tool to collaborate on documents?", "tags": TEAM},
        {"text": "Which note app keeps my data private?", "tags": PRIVACY},
        {"text": "What works offline for taking notes?", "tags": PRIVACY},
        {"text": "Is there an open source notebook?", "tags": PRIVACY},
        {"text": "Which notes app stores plain markdown files?", "tags": PRIVACY},
        "What is the best app for personal knowledge management?",
        "Recommend a tool to organise research notes.",
        "Which app should a student use for lecture notes?",
        "What do writers use to collect ideas?",
    ],
    "models": ["simulator/sim-large", "simulator/sim-small", "simulator/sim-contrarian"],
    "samples": 5,
}


app = typer.Typer(help="See it work, on data that is made up.", invoke_without_command=True)
Once = Annotated[bool, typer.Option("--once", help="end after it, do not go on serving")]


@app.callback()
def visibility(context: typer.Context, *, once: Once = False) -> None:
    """Run questions on simulated models, import a few answers, print both reports."""
    if context.invoked_subcommand is not None:
        return
    with clear_errors():
        configure_logs("WARNING")
        run(serving(Options.from_environment(), _both, once=once))


async def serving(options: Options, walk: Callable[[Api], None], *, once: bool) -> None:
    """Start the all-in-one, go through the demo, and unless ``once`` go on serving."""
    from bus.host import until_ended  # noqa: PLC0415 - takes a second to load

    from allinone.app import AllInOne  # noqa: PLC0415

    limelight = AllInOne(options)
    out.print("Starting Limelight ...")
    await limelight.start()
    try:
        await asyncio.to_thread(walk, Api(limelight.url, limelight.data.demo_key()))
        say_where(limelight)
        if not once:
            out.print("Serving until Ctrl-C.")
            await until_ended()
    finally:
        await limelight.stop()


def _both(api: Api) -> None:
    questions, models = len(DEMO_RUN["prompts"]), len(DEMO_RUN["models"])
    out.print(f"Asking {models} simulated models {questions} questions, 5 times each:")
    show(run_to_end(api, DEMO_RUN))
    out.print("\nImporting a few invented answers, as captured in an assistant's app:")
    with sample() as file:
        query = {"name": "bundled sample", "brand_id": put_brands(api, BRANDS)}
        run_id, _ = upload(api, file, query)
    to_end(api, run_id, seconds=DEMO_SECONDS)
    show(api.call("GET", f"/v1/visibility/runs/{run_id}/report"))


@contextlib.contextmanager
def sample() -> Iterator[Path]:
    """The bundled answers as a file."""
    with as_file(files("allinone").joinpath(SAMPLE)) as path:
        yield path


def run_to_end(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    """Post a run, follow it, return its report. Raises ClientError if it does not end in time."""
    _wait_for(api, set(request["models"]))
    started = api.call("POST", "/v1/visibility/runs", request)
    to_end(api, started["run_id"], seconds=DEMO_SECONDS)
    report: dict[str, Any] = api.call("GET", started["links"]["report"])
    return report


def _wait_for(api: Api, models: set[str]) -> None:
    """The lists of models are read after the start: until then they are those of the last time."""
    until = time.monotonic() + MODELS_SECONDS
    while time.monotonic() < until:
        listed = {one["model"] for each in api.call("GET", "/v1/models") for one in each["models"]}
        if models <= listed:
            return
        time.sleep(POLL_SECONDS)
