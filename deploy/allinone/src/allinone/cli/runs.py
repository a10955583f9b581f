"""``limelight runs``: visibility runs from the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from allinone.cli.following import to_end
from allinone.cli.report import run_line, show
from allinone.cli.shell import clear_errors, out
from allinone.client import Api, ClientError
from allinone.json_files import read_object, read_text

app = typer.Typer(help="Visibility runs and imports.", no_args_is_help=True)
RUNS = "/v1/visibility/runs"
RunId = Annotated[str, typer.Argument(help="id of a run or import")]
Revision = Annotated[int | None, typer.Option(help="of the analysis; else the latest")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command()
def start(
    prompt: Annotated[list[str] | None, typer.Option(help="a question; repeat for more")] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="file with a question a line", exists=True, dir_okay=False)
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="provider/model; repeat")] = None,
    brand: Annotated[list[str] | None, typer.Option(help="a name; else all yours")] = None,
    samples: Annotated[int, typer.Option(help="times each model gets each question")] = 5,
    budget: Annotated[str | None, typer.Option(help="USD for all calls together")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="the whole request as JSON instead", exists=True, dir_okay=False),
    ] = None,
    *,
    watch: Annotated[bool, typer.Option(help="follow it and show its report")] = False,
) -> None:
    """Ask models questions and look for brands in their answers."""
    with clear_errors():
        request = _request(prompt, prompts, model, brand, samples, budget, file)
        api = Api.from_environment()
        started = api.call("POST", RUNS, request)
        known = " (an equal run is going on already)" if started["deduplicated"] else ""
        out.print(f"{started['run_id']}{known}", markup=False)
        if watch:
            _finish(api, started["run_id"])


@app.command("list")
def list_runs(limit: Annotated[int, typer.Option(min=1, max=500)] = 20) -> None:
    """Newest first."""
    with clear_errors():
        page = Api.from_environment().call("GET", f"{RUNS}?limit={limit}")
    for run in page["items"]:
        out.print(run_line(run), markup=False)


@app.command()
def watch(run_id: RunId) -> None:
    """Follow a run to its end, then show its report."""
    with clear_errors():
        _finish(Api.from_environment(), run_id)


@app.command()
def report(
    run_id: RunId,
    revision: Revision = None,
    *,
    pool_surfaces: Annotated[bool, typer.Option(help="sum up all surfaces")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a run has found, with 95 % intervals."""
    with clear_errors():
        query = {"revision": revision, "pool_surfaces": str(pool_surfaces).lower()}
        found = Api.from_environment().call("GET", f"{RUNS}/{run_id}/report", query=query)
        if as_json:
            typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        else:
            show(found)


@app.command()
def cancel(run_id: RunId) -> None:
    """Make no further calls."""
    with clear_errors():
        out.print(run_line(Api.from_environment().call("POST", f"{RUNS}/{run_id}/cancel")))


@app.command()
def reanalyse(
    run_id: RunId,
    brand: Annotated[list[str] | None, typer.Option(help="look for these; else the same")] = None,
) -> None:
    """Analyse the stored answers again; no model is called."""
    with clear_errors():
        body = {"brands": [{"name": name} for name in brand]} if brand else {}
        made = Api.from_environment().call("POST", f"{RUNS}/{run_id}/reanalyses", body)
        out.print(f"revision {made['revision']} of {run_id}")


@app.command()
def export(
    run_id: RunId,
    to: Annotated[
        Path, typer.Option(help="file to write; its ending is the format", dir_okay=False)
    ],
    revision: Revision = None,
) -> None:
    """Write all answers with what was found in them to a .csv, .json or .parquet file."""
    with clear_errors():
        form = to.suffix.removeprefix(".")
        if form not in {"csv", "json", "parquet"}:
            raise ClientError(f"{to}: end the file with .csv, .json or .parquet")
        query = {"format": form, "revision": revision}
        size = Api.from_environment().download(f"{RUNS}/{run_id}/export", to, query)
    out.print(f"{to}: {size:,} bytes")


def _finish(api: Api, run_id: str) -> None:
    to_end(api, run_id)
    show(api.call("GET", f"{RUNS}/{run_id}/report"))


def _request(
    prompt: list[str] | None,
    prompts: Path | None,
    model: list[str] | None,
    brand: list[str] | None,
    samples: int,
    budget: str | None,
    file: Path | None,
) -> dict[str, Any]:
    if file is not None:
        return read_object(file)
    questions = list(prompt or ())
    if prompts is not None:
        lines = read_text(prompts).splitlines()
        questions += [line for line in lines if line.strip()]
    if not questions or not model:
        raise ClientError("name at least one --prompt (or --prompts FILE) and one --model")
    request: dict[str, Any] = {"prompts": questions, "models": model, "samples": samples}
    if brand:
        request["brands"] = [{"name": name} for name in brand]
    if budget is not None:
        request["budget_usd"] = budget
    return request
