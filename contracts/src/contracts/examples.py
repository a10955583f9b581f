"""Loads the golden examples in ``contracts/examples``. For tests only.

Every consumer is fed every example of its topics, twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.envelope import CONTENT_TYPE
from contracts.paths import EXAMPLES


@dataclass(frozen=True, slots=True)
class Example:
    """One record as it stands on a topic. ``headers``, ``key`` and ``value`` are raw bytes."""

    topic: str
    case: str
    headers: tuple[tuple[str, bytes], ...]
    key: bytes
    value: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The body, parsed but not validated."""
        parsed: dict[str, Any] = json.loads(self.value)
        return parsed

    def __str__(self) -> str:
        return f"{self.topic}/{self.case}"


def examples(topic: str | None = None, folder: Path = EXAMPLES) -> tuple[Example, ...]:
    """The examples of one topic, or of all, in the order of their names.

    Raises:
        FileNotFoundError: there is no such topic in ``folder``, or no folder at all.
    """
    root = folder if topic is None else folder / topic
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is missing: examples come with a checkout only")
    return tuple(_load(path) for path in sorted(_files(root)))


def _files(root: Path) -> Iterator[Path]:
    return root.rglob("*.json")


def _load(path: Path) -> Example:
    record = json.loads(path.read_text(encoding="utf-8"))
    headers = {**record["headers"], "content-type": CONTENT_TYPE}
    return Example(
        topic=path.parent.name,
        case=path.stem,
        headers=tuple((name, value.encode()) for name, value in headers.items()),
        key=record["key"].encode(),
        value=json.dumps(record["body"], ensure_ascii=False).encode(),
    )
