"""The data directory: one owner, a format version, and files for its owner only."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from allinone.app import simulated
from allinone.data_dir import VERSION, DataDir, DataDirError, write_private
from allinone.options import Options

HOLD = """
import sys
from pathlib import Path
from allinone.data_dir import DataDir

data = DataDir(Path(sys.argv[1]))
data.open()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    made = DataDir(tmp_path / "deep" / ".limelight")
    yield made
    made.close()


@pytest.fixture
def holder(data: DataDir) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the directory open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    yield process
    process.kill()
    process.communicate()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_second_owner_is_refused_with_the_process_of_the_first(
    data: DataDir, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(DataDirError, match=rf"process {holder.pid}\b") as caught:
        data.open()
    assert str(data.path) in str(caught.value)
    assert "LIMELIGHT_DATA_DIR" in str(caught.value)


def test_a_killed_owner_holds_nothing(data: DataDir, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    data.open()
    assert (data.path / "lock").read_text() == str(os.getpid())


def test_an_owner_can_come_back(data: DataDir) -> None:
    data.open()
    data.close()
    data.open()
    assert (data.path / "version").read_text() == f"{VERSION}\n"


def test_the_same_directory_by_another_path_is_the_same(data: DataDir) -> None:
    data.open()
    link = data.path.parent / "link"
    link.symlink_to(data.path)
    with pytest.raises(DataDirError, match=f"process {os.getpid()}"):
        DataDir(link).open()


@pytest.mark.parametrize("found", [str(VERSION + 1), "2026.1", ""])
def test_a_format_of_a_newer_version_is_refused_and_let_go(data: DataDir, found: str) -> None:
    data.path.mkdir(parents=True)
    (data.path / "version").write_text(found)
    with pytest.raises(DataDirError, match="newer version wrote it"):
        data.open()
    assert (data.path / "version").read_text() == found
    (data.path / "version").write_text(str(VERSION))
    data.open()  # the refusal holds no lock


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataDirError, match="cannot use"):
        DataDir(tmp_path / "file").open()
    assert (tmp_path / "file").read_text() == "mine"


def test_the_demo_key_is_made_once_for_its_owner_only(data: DataDir) -> None:
    data.open()
    key = data.demo_key()
    assert key.startswith("lk_")
    assert mode(data.path / "demo-key") == 0o600
    data.close()
    again = DataDir(data.path)
    again.open()
    assert again.demo_key() == key
    again.close()


def test_another_directory_has_another_key(data: DataDir, tmp_path: Path) -> None:
    data.open()
    other = DataDir(tmp_path / "other")
    other.open()
    assert other.demo_key() != data.demo_key()
    other.close()


def test_closing_forgets_how_the_process_was_reached(data: DataDir) -> None:
    data.open()
    write_private(data.control, "{}")
    data.close()
    assert not data.control.exists()


def test_a_private_file_is_replaced_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "control.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without any setting of ours."""
    for name in ("DATA_DIR", "PORT", "HOST", "OPS_PORT", "SIMULATOR_CONFIG"):
        monkeypatch.delenv(f"LIMELIGHT_{name}", raising=False)
    return monkeypatch


def test_without_settings_it_serves_this_machine_only(environment: pytest.MonkeyPatch) -> None:
    options = Options.from_environment()
    assert options == Options(Path(".limelight"), port=8080, host="127.0.0.1", ops_port=0)
    assert simulated(options).truth.models


def test_settings_are_taken(environment: pytest.MonkeyPatch) -> None:
    given = {"DATA_DIR": "/data", "PORT": "0", "HOST": "0.0.0.0", "OPS_PORT": "65535"}
    for name, value in given.items():
        environment.setenv(f"LIMELIGHT_{name}", value)
    assert Options.from_environment() == Options(
        Path("/data"), port=0, host="0.0.0.0", ops_port=65535
    )


@pytest.mark.parametrize("text", ["", "http", "-1", "80.5", " 80", "65536", "²", "0x50"])
@pytest.mark.parametrize("variable", ["LIMELIGHT_PORT", "LIMELIGHT_OPS_PORT"])
def test_a_bad_port_is_named_with_its_text(
    environment: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    environment.setenv(variable, text)
    with pytest.raises(ValueError, match="give a port from 0 to 65535") as caught:
        Options.from_environment()
    assert variable in str(caught.value)
    assert repr(text) in str(caught.value)


def test_a_missing_simulator_config_is_named(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("LIMELIGHT_SIMULATOR_CONFIG", str(tmp_path / "nothing.toml"))
    options = Options.from_environment()
    with pytest.raises(ValueError, match=r"LIMELIGHT_SIMULATOR_CONFIG: cannot read .*nothing"):
        simulated(options)


def test_a_simulator_config_is_read(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "truth.toml"
    path.write_text('[[brands]]\nname = "Acme"\ndomain = "acme.example"\n[[models]]\nid = "sim"\n')
    environment.setenv("LIMELIGHT_SIMULATOR_CONFIG", str(path))
    config = simulated(Options.from_environment())
    assert [brand.name for brand in config.truth.brands] == ["Acme"]
