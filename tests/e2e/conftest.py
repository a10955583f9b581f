"""Servers for tests of services as processes of their own."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from devkit.servers.local import ServerUnavailable
from devkit.stack import Servers


def started(folder: Path, wanted: Collection[str]) -> Servers:
    """Running servers; the test is skipped with the reason where one cannot be had."""
    try:
        return Servers.start(folder, wanted)
    except ServerUnavailable as error:
        pytest.skip(str(error))
