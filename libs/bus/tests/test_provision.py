from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bus.local import LocalLog
from bus.provision import provision, specs


@pytest.mark.asyncio
async def test_what_is_missing_is_created_and_nothing_twice(tmp_path: Path) -> None:
    log = await LocalLog.open(tmp_path / "log.db", sync="normal")
    made = await provision(log)
    assert made == sorted(spec.name for spec in specs())
    assert await provision(log) == []
    assert await log.topics() == set(made)
    await log.close()


def run(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bus"],
        env={"LIMELIGHT_LOG_URL": url, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_image_can_create_them(tmp_path: Path) -> None:
    done = run(f"local:{tmp_path / 'log.db'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "created conversation.recorded.v1\n" in done.stdout
    assert run(f"local:{tmp_path / 'log.db'}").stdout == ""


@pytest.mark.parametrize(("url", "status"), [("amqp://x", 2), ("kafka://127.0.0.1:1", 1)])
def test_a_log_that_is_not_there_is_an_error(url: str, status: int) -> None:
    done = run(url)
    assert done.returncode == status
    assert done.stderr
    assert "Traceback" not in done.stderr
