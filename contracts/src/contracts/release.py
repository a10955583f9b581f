"""Freezes schemas and examples as a release: ``python -m contracts.release 0.1.0``.

What is frozen is never edited: from then on tests hold today's models against it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.generate import differing, generated
from contracts.paths import CONTRACTS, REPOSITORY

_VERSION = re.compile(r"^\d+\.\d+\.\d+$")
_FROZEN = ("schemas", "examples")


class ReleaseError(Exception):
    """The release cannot be made; the message says what to do first."""


def release(version: str, contracts: Path = CONTRACTS) -> Path:
    """Copy schemas and examples to ``released/<version>`` and return that folder.

    Raises:
        ReleaseError: not a version ``x.y.z``, or the release is already there.
    """
    if not _VERSION.match(version):
        raise ReleaseError(f"{version!r} is not a version: write it as 1.2.3")
    target = contracts / "released" / version
    if target.exists():
        raise ReleaseError(f"{version} is already released: choose the next version")
    for name in _FROZEN:
        shutil.copytree(contracts / name, target / name)
    return target


def _require_fresh() -> None:
    if differing(REPOSITORY, generated()):
        raise ReleaseError("generated files are out of date: run python -m contracts.generate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, or 1 with a line on stderr if the release was refused."""
    parser = argparse.ArgumentParser(prog="python -m contracts.release", description=__doc__)
    parser.add_argument("version")
    version = parser.parse_args(arguments).version
    try:
        _require_fresh()
        print(release(version).relative_to(REPOSITORY))
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
