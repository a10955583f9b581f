"""``python deploy/pins.py LOCK NAME...``: what those distributions need, out of a lock of many.

The lock is one that uv exported: below each pin its notes say which distributions want it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_PIN = re.compile(r"^(?P<name>[\w.-]+)==.*\n(?:[ \t].*\n)*", re.MULTILINE)
_NOTE = re.compile(r"^ +#(?: via)? +([\w.-]+)$", re.MULTILINE)


def needed(lock: str, names: list[str]) -> str:
    """The pins of ``lock`` with their hashes that the distributions want, themselves or in turn.

    Raises:
        ValueError: nothing is wanted by one of them, as if it were not in the workspace.
    """
    pins = [*_PIN.finditer(lock)]
    wanted_by: dict[str, set[str]] = {}
    for pin in pins:
        wanted_by.setdefault(pin["name"], set()).update(_NOTE.findall(pin[0]))
    for name in names:
        if not any(name in by for by in wanted_by.values()):
            raise ValueError(f"nothing in the lock is wanted by {name!r}")
    found = set(_reached(wanted_by, names))
    return "".join(pin[0] for pin in pins if pin["name"] in found)


def _reached(wanted_by: Mapping[str, set[str]], names: list[str]) -> Iterator[str]:
    """Every distribution that is wanted by one that is reached."""
    seen, new = set[str](), set(names)
    while new:
        seen |= new
        new = {name for name, by in wanted_by.items() if by & new} - seen
        yield from new


if __name__ == "__main__":
    print(needed(Path(sys.argv[1]).read_text(), sys.argv[2:]), end="")
