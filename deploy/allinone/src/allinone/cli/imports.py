"""``limelight import``: answers captured elsewhere, from files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from allinone.cli.following import bar, to_end
from allinone.cli.pieces import pieces, taken, tell_left_out
from allinone.cli.report import show
from allinone.cli.shell import clear_errors, out
from allinone.client import Api, ClientError
from allinone.json_files import read_objects

app = typer.Typer(help="Take in what was captured elsewhere.", no_args_is_help=True)
IMPORTS = "/v1/visibility/imports"
CHUNK_BYTES = 4 * 1024 * 1024
NDJSON, CSV = "application/x-ndjson", "text/csv"
_WANTED_BRANDS = 'a JSON list of brands is wanted, e.g. [{"name": "Notion"}]'


@app.command()
def answers(
    file: Annotated[
        Path, typer.Argument(help=".jsonl or .ndjson, or .csv", exists=True, dir_okay=False)
    ],
    brands: Annotated[
        Path | None,
        typer.Option(
            help="JSON list of brands to look for; else all yours", exists=True, dir_okay=False
        ),
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
            wanted = [brand for _, brand in read_objects(brands, _WANTED_BRANDS)]
            query["brand_id"] = put_brands(api, wanted)
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
    """Send a file in pieces of whole lines; the import's id and how many lines were left out.

    CSV goes as one piece: its records may hold line breaks. Raises ClientError.
    """
    if file.suffix.lower() == ".csv":
        answer = _opened(api, file.read_bytes(), CSV, query)
        tell_left_out(file, 0, answer)
        return answer["run_id"], answer["rejected"]
    run_id, rejected = _upload_lines(api, file, query)
    if run_id is None:
        raise ClientError(no_good_line(file, rejected))
    return run_id, rejected


def no_good_line(file: Path, rejected: int) -> str:
    """What is said of a file of which nothing was taken in."""
    return f"{file}: no line can be taken in: " + (
        f"mend the {rejected} that are left out" if rejected else "it holds none"
    )


def _upload_lines(api: Api, file: Path, query: dict[str, Any]) -> tuple[str | None, int]:
    run_id, rejected, lines = None, 0, 0
    with bar() as progress:
        task = progress.add_task("bytes sent", total=file.stat().st_size)
        for piece in pieces(file, CHUNK_BYTES):
            answer = taken(piece, partial(_sent, api, run_id, piece, query))
            run_id = answer.get("run_id", run_id)
            tell_left_out(file, lines, answer)
            rejected += answer["rejected"]
            lines += piece.count(b"\n")
            progress.advance(task, len(piece))
    return run_id, rejected


def _sent(api: Api, run_id: str | None, piece: bytes, query: dict[str, Any]) -> dict[str, Any]:
    """Lines for an import; the first good ones open it."""
    if run_id is None:
        return _opened(api, piece, NDJSON, query)
    answer: dict[str, Any] = api.send(f"{IMPORTS}/{run_id}/answers", piece, NDJSON)
    return answer


def _opened(api: Api, piece: bytes, kind: str, query: dict[str, Any]) -> dict[str, Any]:
    """A new import, once even if the request has to be sent again."""
    answer: dict[str, Any] = api.send(IMPORTS, piece, kind, query, idempotency_key=str(uuid4()))
    return answer
