"""A service as a process: what its ops port says while its log is away."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import httpx2
import pytest
from devkit.ports import free_port

pytestmark = pytest.mark.asyncio
PATIENCE = 30
_SERVICE = """
from bus.host import Service, ServiceSpec, main
from runtime.settings import ServiceSettings

async def yes():
    return True

async def build(settings, log):
    return Service([], {"store": yes}, serving=frozenset({'store'}))

main(ServiceSpec("toy", ServiceSettings, build, (), ()))
"""


async def _ops_port(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    async for line in process.stderr:
        if line.startswith(b"{") and (said := json.loads(line))["event"] == "started":
            return int(said["ops_port"])
    raise AssertionError("it ended before it had started")


async def test_it_serves_when_what_it_names_is_there() -> None:
    variables = os.environ | {
        "LIMELIGHT_LOG_URL": f"kafka://127.0.0.1:{free_port()}",
        "LIMELIGHT_OPS_PORT": "0",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SERVICE, env=variables, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            ops = f"http://127.0.0.1:{await _ops_port(process)}"
        async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE, base_url=ops) as client:
            served, ready = await client.get("/servez"), await client.get("/readyz")
        assert (served.status_code, ready.status_code) == (200, 503)
        assert served.json()["checks"] == ready.json()["checks"] == {"log": False, "store": True}
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0
