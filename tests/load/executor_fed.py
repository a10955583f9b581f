"""The llm-executor with a hand on its log: ``NUMBER TIME`` on its input is one more request.

The local log has one process. Only so can something be asked for while the executor works.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path

# Before all else: as a script this file's folder holds names of installed packages.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from bus import host  # noqa: E402 - only now can it be found
from bus.port import Log  # noqa: E402
from llm_executor.app import SERVICE  # noqa: E402
from runtime.settings import ServiceSettings  # noqa: E402
from tests.load.executor_requests import Load  # noqa: E402

GUEST = Load(1, priority="interactive", tenant="tenant-guest")
_connect = host.connect
_feeding: set[asyncio.Task[None]] = set()


async def _fed(settings: ServiceSettings) -> Log:
    log = await _connect(settings)
    _feeding.add(asyncio.create_task(_feed(log)))
    return log


async def _feed(log: Log) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    producer = await log.producer()
    async for line in lines:
        number, at = line.decode().split()
        await producer.send([GUEST.record(int(number), datetime.fromisoformat(at))])


if __name__ == "__main__":
    host.connect = _fed
    host.main(SERVICE)
