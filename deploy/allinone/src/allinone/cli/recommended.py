"""Recommendations in the terminal."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from allinone.cli.shell import out

Json = dict[str, Any]


def show(found: Json) -> None:
    """Print a user's list: what, how strongly, and why."""
    title = f"For {found['user_id']} ({found['source']})"
    table = Table(box=SIMPLE, title=title, title_justify="left")
    table.add_column("Campaign", no_wrap=True)
    table.add_column("score", justify="right")
    table.add_column("because")
    for item in found["items"]:
        reasons = "\n".join(reason["text"] for reason in item["reasons"][:2])
        table.add_row(item["title"], f"{item['score']:.2f}", reasons)
    out.print(table)


def show_hits(query: str, found: Json) -> None:
    """Print what a search found."""
    table = Table(box=SIMPLE, title=f"Search: {query}", title_justify="left")
    table.add_column("similarity", justify="right")
    table.add_column("said by", no_wrap=True)
    table.add_column("text")
    for hit in found["hits"]:
        who = hit["user_id"] or hit["model"] or ""
        table.add_row(f"{hit['similarity']:.2f}", who, hit["text"])
    out.print(table)
