"""The stores of ``deploy/compose/stores.yml``: which image each is, and how it is asked for health.

Containers of tests are made of them, so that tests and compose cannot come to differ.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from devkit.servers.local import ServerUnavailable

STORES = Path(__file__).resolve().parents[5] / "deploy" / "compose" / "stores.yml"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?[^}]*\}")


@dataclass(frozen=True)
class Store:
    """One store of the compose file."""

    image: str
    environment: Mapping[str, str]
    health: Sequence[str]
    """A command in the container that ends with 0 when the store can be used."""


@cache
def store(name: str) -> Store:
    """What compose says of the store. Raises ServerUnavailable outside a checkout."""
    if not STORES.is_file():
        raise ServerUnavailable(f"{name}: images are named in {STORES}, which is not there")
    said: dict[str, Any] = yaml.safe_load(STORES.read_text())["services"][name]
    image = _VARIABLE.sub(
        lambda found: os.environ.get(found["name"]) or found["default"] or "", said["image"]
    )
    return Store(image, said.get("environment", {}), _command(said["healthcheck"]["test"]))


def _command(test: Sequence[str]) -> Sequence[str]:
    kind, *command = test
    return ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command
