"""``limelight import``: what people said and did, and campaigns, from files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from allinone.checkpoints import Checkpoint, Progress, UnreadableNote
from allinone.cli.following import bar
from allinone.cli.imports import NDJSON, no_good_line
from allinone.cli.pieces import pieces, taken, tell_left_out
from allinone.cli.shell import clear_errors, err, out
from allinone.client import Api, ClientError
from allinone.json_files import BadFile, read_objects
from allinone.options import Options

CHUNK_BYTES = 1024 * 1024
Json = dict[str, Any]
File = Annotated[
    Path,
    typer.Argument(help=".jsonl or .ndjson: one JSON object a line", exists=True, dir_okay=False),
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
    file: Annotated[
        Path, typer.Argument(help="a JSON list of campaigns", exists=True, dir_okay=False)
    ],
) -> None:
    """Make or replace campaigns: campaign_id, title, and if known text, intents, ends_at ..."""
    with clear_errors():
        listed = read_campaigns(file)
        put_campaigns(Api.from_environment(), listed)
        out.print(f"{len(listed)} campaigns", markup=False)


def read_campaigns(file: Path) -> list[Json]:
    """The campaigns of a JSON list. Raises BadFile before the first is stored."""
    found = read_objects(file, 'a JSON list of campaigns is wanted: [{"campaign_id": ...}, ...]')
    for where, campaign in found:
        given = campaign.get("campaign_id")
        if not isinstance(given, str) or not given:
            raise BadFile(f"{where}: campaign_id is to be a text that is not empty")
    return [campaign for _, campaign in found]


def put_campaigns(api: Api, listed: list[Json]) -> None:
    """Store campaigns. Raises ClientError."""
    with bar() as shown:
        for campaign in shown.track(listed, description="campaigns sent"):
            _put(api, campaign)


def _put(api: Api, campaign: Json) -> None:
    given = campaign["campaign_id"]
    body = {name: value for name, value in campaign.items() if name != "campaign_id"}
    try:
        api.call("PUT", f"/v1/campaigns/{quote(given, safe='')}", body)
    except (ClientError, ValueError) as error:  # or it holds what cannot be written as JSON
        raise ClientError(f"campaign {given!r}: {error}") from error


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
    """Send a file in pieces of whole lines, from where the checkpoint says.

    Raises:
        ClientError: the gateway cannot be reached, or refuses; or no line at all is good.
        ChangedFile: it cannot go on where it was.
    """
    progress = _begun(checkpoint)
    with bar() as shown:
        task = shown.add_task("bytes sent", total=file.stat().st_size, completed=progress.offset)
        for piece in pieces(file, CHUNK_BYTES, progress.offset):
            query = {"file": file.name, "first_line": progress.lines + 1}
            answer = taken(piece, partial(api.send, path, piece, NDJSON, query))
            tell_left_out(file, progress.lines, answer)
            progress = progress.after(piece, answer["accepted"], answer["rejected"])
            checkpoint.write(progress, piece)
            shown.update(task, completed=progress.offset)
    checkpoint.clear()
    if not progress.accepted:
        raise ClientError(no_good_line(file, progress.rejected))
    return progress


def _begun(checkpoint: Checkpoint) -> Progress:
    try:
        progress = checkpoint.read()
    except UnreadableNote as error:
        said = f"limelight: {error}: beginning with the first line"
        err.print(said, markup=False, soft_wrap=True)
        return Progress()
    if progress.offset:
        out.print(f"going on after line {progress.lines}", markup=False)
    return progress
