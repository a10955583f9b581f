"""Real answers of two assistants, for tests that look for them beside the checkout.

They are not part of the project. ``LIMELIGHT_REAL_ANSWERS`` names their folder; without it they are
looked for in ``shared/data/ai-product-answers`` beside the checkout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILES = ("chatgpt_run_1.jsonl", "google_ai_mode_run_1.jsonl")
Json = dict[str, Any]


def folder(repository: Path) -> Path | None:
    """Where they are, None if they are not there."""
    beside = repository.parent / "shared" / "data" / "ai-product-answers"
    found = Path(os.environ.get("LIMELIGHT_REAL_ANSWERS", beside))
    return found if all((found / name).is_file() for name in FILES) else None


def answers(where: Path) -> Iterator[tuple[str, Json]]:
    """File and line of every answer, in order."""
    for name in FILES:
        for line in (where / name).read_text(encoding="utf-8").splitlines():
            yield name, json.loads(line)


def import_lines(where: Path) -> list[Json]:
    """The answers as lines of an import, tagged with the category of their question."""
    questions = [
        (variation["text"], group["category"])
        for group in map(json.loads, (where / "queries.jsonl").read_text().splitlines())
        for variation in group["variations"]
    ]
    place: dict[str, int] = {}  # ids map to the variations in the order of each file
    lines = []
    for name, item in answers(where):
        at = place[name] = place.get(name, -1) + 1
        text, category = questions[at]
        lines.append(
            {
                "id": f"{name.removesuffix('.jsonl')}-{item['query_id']}",
                "prompt": text,
                "tags": [category],
                "surface": "app",
                "model": item["model"],
                "text": item["response"],
                "sources": [
                    {"url": source["url"], "title": source["title"] or ""}
                    for source in item["sources"]
                ],
                "captured_at": item["metadata"]["timestamp"],
            }
        )
    return lines
