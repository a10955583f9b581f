"""``limelight import``: what people said and did, and campaigns, from files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from allinone.checkpoints import Checkpoint, Progress
from allinone.cli.following import bar
from allinone.cli.imports import NDJSON
from allinone.cli.shell import clear_errors, err, out
from allinone.client import Api
from allinone.options import Options

CHUNK_BYTES = 1024 * 1024
Json = dict[str, Any]
File = Annotated[
    Path, typer.Argument(help=".jsonl or .ndjson: one JSON object a line", exists=True)
]
Anew = Annotated[
    bool, typer.Option("--anew", help="from the first line, also if it was cut before")
]


def conversations(file: File, *, anew: Anew = False) -> None:
    """Import conversations: conversation_id, user_id, and messages or text.

    An import that was cut goes on where it was. Bad lines are left out and listed; each message
    can be traced to its file and line.
    """
    _import(file, "/v1/conversations", anew=anew)


def engagements(file: File, *, anew: Anew = False) -> None:
    """Import engagements: engagement_id, user_id, campaign_id, kind, happened_at."""
    _import(file, "/v1/engagements", anew=anew)


def campaigns(
    file: Annotated[Path, typer.Argument(help="a JSON list of campaigns", exists=True)],
) -> None:
    """Make or replace campaigns: campaign_id, title, and if known text, intents, ends_at ..."""
    with clear_errors():
        listed = json.loads(file.read_text(encoding="utf-8"))
        put_campaigns(Api.from_environment(), listed)
        out.print(f"{len(listed)} campaigns", markup=False)


def put_campaigns(api: Api, listed: list[Json]) -> None:
    """Store campaigns. Raises ClientError."""
    for campaign in listed:
        body = {name: value for name, value in campaign.items() if name != "campaign_id"}
        api.call("PUT", f"/v1/campaigns/{quote(campaign['campaign_id'], safe='')}", body)


def _import(file: Path, path: str, *, anew: bool) -> None:
    with clear_errors():
        api = Api.from_environment()
        folder = Options.from_environment().data_dir / "imports"
        checkpoint = Checkpoint(folder, file, f"{api.url}{path}\n{api.key}")
        if anew:
            checkpoint.clear()
        done = send_lines(api, path, file, checkpoint)
        out.print(f"{done.accepted} lines taken in, {done.rejected} left out", markup=False)
        if done.rejected:
            raise typer.Exit(1)


def send_lines(api: Api, path: str, file: Path, checkpoint: Checkpoint) -> Progress:
    """Send a file in pieces of whole lines, from where the checkpoint says. Raises ClientError."""
    progress = checkpoint.read()
    if progress.offset:
        out.print(f"going on after line {progress.lines}", markup=False)
    with bar() as shown:
        task = shown.add_task("bytes sent", total=file.stat().st_size, completed=progress.offset)
        for chunk in _chunks(file, progress.offset):
            query = {"file": file.name, "first_line": progress.lines + 1}
            taken = api.send(path, chunk, NDJSON, query)
            for bad in taken["errors"]:
                line = progress.lines + bad["line"]
                err.print(f"{file}:{line}: {bad['error']}", markup=False)
            progress = progress.after(chunk, taken["accepted"], taken["rejected"])
            checkpoint.write(progress)
            shown.update(task, completed=progress.offset)
    checkpoint.clear()
    return progress


def _chunks(file: Path, offset: int) -> Iterator[bytes]:
    with file.open("rb") as source:
        source.seek(offset)
        while lines := source.readlines(CHUNK_BYTES):
            yield b"".join(lines)
