"""``limelight sample``: files to try things with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from devkit.marketing import CAMPAIGNS, sample

from allinone.cli.shell import clear_errors, out

app = typer.Typer(help="Write files to try things with.", no_args_is_help=True)
CONVERSATIONS, ENGAGEMENTS, OFFERS = "conversations.jsonl", "engagements.jsonl", "campaigns.json"


@app.command()
def marketing(
    folder: Annotated[
        Path, typer.Argument(help="where to write; made if it is missing", file_okay=False)
    ],
    users: Annotated[int, typer.Option(min=1, help="how many people")] = 300,
    seed: Annotated[int, typer.Option(help="the same seed draws the same people")] = 1,
) -> None:
    """Invented people who talk to an invented shop, what they did, and the shop's campaigns."""
    with clear_errors():
        write_marketing(folder, users, seed)
        for name in (OFFERS, CONVERSATIONS, ENGAGEMENTS):
            out.print(folder / name, markup=False, soft_wrap=True)


def write_marketing(folder: Path, users: int, seed: int = 1) -> None:
    """Write the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = json.dumps(CAMPAIGNS, indent=2, ensure_ascii=False)
    (folder / OFFERS).write_text(listed + "\n", encoding="utf-8")
    with (
        (folder / CONVERSATIONS).open("w", encoding="utf-8") as said,
        (folder / ENGAGEMENTS).open("w", encoding="utf-8") as done,
    ):
        for person in sample(seed).people(users):
            said.write(json.dumps(person.conversation, ensure_ascii=False) + "\n")
            for engagement in person.engagements:
                done.write(json.dumps(engagement) + "\n")
