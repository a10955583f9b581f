"""Where the generated files live in a checkout. For the generators and for tests only."""

from __future__ import annotations

import tomllib
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parents[2]
REPOSITORY = CONTRACTS.parent
SCHEMAS = CONTRACTS / "schemas"
EXAMPLES = CONTRACTS / "examples"
RELEASED = CONTRACTS / "released"


def contracts_version() -> str:
    """The version in ``contracts/pyproject.toml``, not that of an installation which may lag."""
    project = tomllib.loads((CONTRACTS / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])
