"""An image, really built and started, where there is an engine: hardened as compose and k8s do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devkit.ports import free_port
from devkit.servers.redis import RedisServer
from devkit.stack import engine
from tests.deploy.settings_of import REPOSITORY

SERVICE = "recommender"
IMAGE = f"limelight/{SERVICE}:tested"
HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
SECONDS = 120.0


def docker(*arguments: str) -> str:
    """What ``docker`` prints; the test fails with its words if it fails."""
    done = subprocess.run(
        ["docker", *arguments],
        env=os.environ | {"DOCKER_BUILDKIT": "1"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image() -> str:
    """Built now, out of this checkout."""
    base = re.search(r"^ARG PYTHON_IMAGE=(.+)$", _dockerfile(), re.MULTILINE)
    assert base is not None
    missing = engine.why_not() or engine.why_no_image(base[1])
    if missing or not shutil.which("docker"):
        pytest.skip(f"no image can be built here: {missing or 'docker is not on PATH'}")
    build = ("--network", "host", "-f", "deploy/Dockerfile", "--build-arg", f"SERVICE={SERVICE}")
    docker("build", *build, "-t", IMAGE, ".")
    return IMAGE


def _dockerfile() -> str:
    return (REPOSITORY / "deploy" / "Dockerfile").read_text()


@pytest.fixture
def container(image: str, server_folder: Path) -> Iterator[str]:
    """Running on a log of its own and a Redis of this machine."""
    with RedisServer.start(server_folder / "redis") as redis:
        told = {
            "LIMELIGHT_LOG_URL": "local:/tmp/log.sqlite",
            "LIMELIGHT_REDIS_URL": f"{redis.url}/0",
            "LIMELIGHT_OPS_PORT": str(free_port()),
        }
        variables = [part for name, value in told.items() for part in ("-e", f"{name}={value}")]
        with_topics = ("sh", "-c", "python -m bus && exec serve")
        name = docker("run", "-d", "--network", "host", *HARDENED, *variables, image, *with_topics)
        yield name
        docker("rm", "--force", name)


@pytest.mark.timeout(600)
def test_it_gets_healthy_and_ends_in_order(container: str) -> None:
    end = time.monotonic() + SECONDS
    while (health := _state(container)["Health"]["Status"]) != "healthy":
        assert time.monotonic() < end, f"{health}: {_printed(container)}"
        time.sleep(0.2)
    assert docker("exec", container, "id", "-u") == "10001"
    docker("stop", "--time", "30", container)
    assert _state(container)["ExitCode"] == 0, _printed(container)


@pytest.mark.timeout(600)
def test_without_settings_it_says_what_it_needs(image: str) -> None:
    done = subprocess.run(
        ["docker", "run", "--rm", image],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "LIMELIGHT_REDIS_URL: Field required" in done.stderr


@pytest.mark.timeout(600)
def test_an_end_in_the_middle_of_the_start_is_obeyed(image: str) -> None:
    """The first process of a container ignores signals that it does not handle, as sleep does."""
    name = docker("run", "-d", image, "sleep", "60")
    try:
        docker("stop", "--time", "30", name)
        assert _state(name)["ExitCode"] == 143
    finally:
        docker("rm", "--force", name)


def _printed(container: str) -> str:
    logs = ["docker", "logs", container]
    done = subprocess.run(logs, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _state(container: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", container))
    return found
