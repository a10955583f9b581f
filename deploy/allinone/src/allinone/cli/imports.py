"""``limelight import``: answers captured elsewhere, from files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from allinone.cli.following import bar, to_end
from allinone.cli.report import show
from allinone.cli.shell import clear_errors, err, out
from allinone.client import Api

app = typer.Typer(help="Take in what was captured elsewhere.", no_args_is_help=True)
IMPORTS = "/v1/visibility/imports"
CHUNK_BYTES = 4 * 1024 * 1024
NDJSON, CSV = "application/x-ndjson", "text/csv"


@app.command()
def answers(
    file: Annotated[Path, typer.Argument(help=".jsonl or .ndjson, or .csv", exists=True)],
    brands: Annotated[
        Path | None, typer.Option(help="JSON list of brands to look for; else all yours")
    ] = None,
    name: Annotated[str | None, typer.Option(help="of the import; else the file's")] = None,
    *,
    watch: Annotated[bool, typer.Option(help="wait and show the report")] = True,
) -> None:
    """Import answers of assistants, then show who is named in them.

    Each line is a JSON object with prompt, model, text, captured_at, and if known surface
    (api, app, import), sources, locale, tags, id. Broken lines are left out and listed.
    """
    with clear_errors():
        api = Api.from_environment()
        query: dict[str, Any] = {"name": name or file.name[:100]}
        if brands is not None:
            query["brand_id"] = put_brands(api, json.loads(brands.read_text(encoding="utf-8")))
        run_id, rejected = upload(api, file, query)
        out.print(f"import {run_id}", markup=False)
        if watch:
            to_end(api, run_id)
            show(api.call("GET", f"/v1/visibility/runs/{run_id}/report"))
        if rejected:
            raise typer.Exit(1)


def put_brands(api: Api, brands: list[dict[str, Any]]) -> list[str]:
    """Store brands; their ids."""
    return [api.call("PUT", "/v1/brands", brand)["brand_id"] for brand in brands]


def upload(api: Api, file: Path, query: dict[str, Any]) -> tuple[str, int]:
    """Send a file in pieces of whole lines; the import's id and how many lines were left out."""
    kind = CSV if file.suffix.lower() == ".csv" else NDJSON
    path, run_id, rejected, lines = IMPORTS, "", 0, 0
    with bar() as progress:
        task = progress.add_task("bytes sent", total=file.stat().st_size)
        for chunk in _chunks(file, whole=kind == CSV):
            taken = api.send(path, chunk, kind, query if not run_id else {})
            run_id = taken["run_id"]
            path = f"{IMPORTS}/{run_id}/answers"
            rejected += taken["rejected"]
            for bad in taken["errors"]:
                err.print(f"{file}:{lines + bad['line']}: {bad['error']}", markup=False)
            lines += chunk.count(b"\n")
            progress.advance(task, len(chunk))
    return run_id, rejected


def _chunks(file: Path, *, whole: bool) -> Iterator[bytes]:
    """Pieces that end with a line; CSV goes as one, its records may hold line breaks."""
    if whole:
        yield file.read_bytes()
        return
    with file.open("rb") as source:
        while lines := source.readlines(CHUNK_BYTES):
            yield b"".join(lines)
