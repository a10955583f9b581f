"""``python -m deploy.observability``: write rules and dashboards; ``--check``: are they written?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.observability import dashboards, rules, slo

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str]) -> int:
    """Return 1 with ``--check`` if a file is not what the sources say."""
    objectives = slo.load()
    wanted = {**rules.files(objectives), **dashboards.files(objectives)}
    stale = [path for path, text in wanted.items() if not _says(path, text)]
    if "--check" not in arguments:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
        return 0
    for path in stale:
        print(f"{path.relative_to(ROOT)} is out of date: run python -m deploy.observability")
    return 1 if stale else 0


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
