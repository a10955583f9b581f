"""Writes everything that is derived from the models: ``python -m contracts.generate [--check]``.

The results are committed, so that a change of a contract shows in review as what it means for
readers in any language. ``--check`` writes nothing and fails when a committed file is not what
the models say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.asyncapi import asyncapi_document
from contracts.json_schema import as_text, payload_schema
from contracts.markdown import events_page
from contracts.paths import REPOSITORY, contracts_version
from contracts.topics import TOPICS

_SCHEMAS = Path("contracts/schemas")


def generated() -> dict[Path, str]:
    """Every generated file, by its path relative to the repository."""
    schemas = {_SCHEMAS / f"{topic.name}.json": as_text(payload_schema(topic)) for topic in TOPICS}
    return {
        **schemas,
        Path("contracts/asyncapi.json"): as_text(asyncapi_document(contracts_version())),
        Path("docs/events.md"): events_page(),
    }


def differing(repository: Path, files: Mapping[Path, str]) -> list[Path]:
    """Files that are missing, different, or schemas of topics that are gone."""
    changed = [path for path, text in files.items() if _committed(repository / path) != text]
    return sorted(changed + _stale(repository, files))


def write(repository: Path, files: Mapping[Path, str]) -> None:
    """Write every file and remove the schemas of topics that are gone."""
    for path in _stale(repository, files):
        (repository / path).unlink()
    for path, text in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text, encoding="utf-8", newline="\n")


def _stale(repository: Path, files: Mapping[Path, str]) -> list[Path]:
    there = (repository / _SCHEMAS).glob("*.json")
    return [path for path in (file.relative_to(repository) for file in there) if path not in files]


def _committed(path: Path) -> str | None:
    # Bytes, because reading as text would hide a wrong line ending.
    return path.read_bytes().decode("utf-8") if path.is_file() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, or 1 if ``--check`` found differences."""
    parser = argparse.ArgumentParser(prog="python -m contracts.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on differences")
    files = generated()
    if not parser.parse_args(arguments).check:
        write(REPOSITORY, files)
        return 0
    wrong = differing(REPOSITORY, files)
    for path in wrong:
        print(f"{path} differs: run python -m contracts.generate", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
