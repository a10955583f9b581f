"""Prometheus' own tool, from Debian's package ``prometheus`` or anything else on PATH."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*arguments: str, folder: Path) -> str:
    """Run it there; what it printed. The test is skipped where it is not, and fails if it does."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on PATH: apt-get install prometheus, or make server-tools")
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
