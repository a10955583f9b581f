"""Starting where it cannot work: a clear message, status 1 or 2, and nothing harmed."""

from __future__ import annotations

import socket
from pathlib import Path

from devkit.limelight_process import LimelightProcess


def refused(limelight: LimelightProcess, environment: dict[str, str] | None = None) -> str:
    """Start, expect it to end with an error, and return what it said."""
    limelight.start(environment, ready=False)
    assert limelight.wait_for_exit(60) in (1, 2)
    said = limelight.output()
    assert "Traceback" not in said
    return said


def test_a_second_one_on_the_same_directory(
    limelight: LimelightProcess, certain: dict[str, str]
) -> None:
    limelight.start()
    second = LimelightProcess(limelight.data_dir, environment=certain)
    assert "is in use by another Limelight" in refused(second)
    assert limelight.ready()


def test_a_port_that_is_taken(limelight: LimelightProcess) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", limelight.port))
        taken.listen()
        said = refused(limelight)
    assert f"cannot listen on 127.0.0.1:{limelight.port}" in said
    assert "LIMELIGHT_PORT" in said
    limelight.start()
    assert limelight.ready()


def test_a_directory_from_a_newer_version(limelight: LimelightProcess, data_dir: Path) -> None:
    (data_dir / "version").write_text("99\n")
    assert "a newer version wrote it" in refused(limelight)
    (data_dir / "version").write_text("1\n")
    limelight.start()
    assert limelight.ready()


def test_a_port_that_is_no_number(limelight: LimelightProcess) -> None:
    assert "LIMELIGHT_PORT is 'eighty'" in refused(limelight, {"LIMELIGHT_PORT": "eighty"})


def test_a_simulator_configuration_that_is_not_there(limelight: LimelightProcess) -> None:
    assert "nowhere.toml" in refused(limelight, {"LIMELIGHT_SIMULATOR_CONFIG": "nowhere.toml"})


def test_a_user_of_a_log_that_has_none(limelight: LimelightProcess) -> None:
    limelight.start({"LIMELIGHT_LOG_USERNAME": "somebody"}, ready=False)
    assert limelight.wait_for_exit(60) == 2
    assert "LIMELIGHT_LOG_SASL_MECHANISM" in limelight.output()
