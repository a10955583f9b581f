"""The all-in-one that system tests start: spoken to through HTTP, its command line and its log."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from devkit.limelight_process import LimelightProcess


@pytest.fixture(scope="session")
def certain() -> Iterator[dict[str, str]]:
    """Environment with a simulator that always names Quillnote and never Papertrail Pro."""
    with as_file(files("devkit") / "certain.toml") as path:
        yield {"LIMELIGHT_SIMULATOR_CONFIG": str(path)}


@pytest.fixture(scope="session")
def template(certain: dict[str, str]) -> Iterator[Path]:
    """A data directory that was started and stopped once, to be copied instead of made anew."""
    with tempfile.TemporaryDirectory(prefix="limelight-") as folder:
        with LimelightProcess(Path(folder) / "data", environment=certain) as process:
            process.start()
            assert process.stop() == 0, process.output()
        yield process.data_dir


@pytest.fixture
def data_dir(server_folder: Path, template: Path) -> Path:
    """A fresh copy of the template; ``cp`` keeps the owner of PostgreSQL's files."""
    copy = server_folder / "data"
    cp = shutil.which("cp")
    assert cp is not None
    subprocess.run([cp, "-a", str(template), str(copy)], check=True)
    return copy


@pytest.fixture
def limelight(data_dir: Path, certain: dict[str, str]) -> Iterator[LimelightProcess]:
    """Not started yet; stopped at the end."""
    with LimelightProcess(data_dir, environment=certain) as process:
        yield process
