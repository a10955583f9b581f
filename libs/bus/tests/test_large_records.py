"""Records that are larger than a dead letter: they stop nobody, and are told from the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from bus.dead_letter import dlq_fields, left_out
from bus.errors import Permanent
from bus.local import LocalLog
from bus.provision import DLQ_MAX_BYTES, specs
from bus.record import OutRecord
from bus.replay import Replayed, depth, letters
from devkit.conformance.polling import read_all
from libs.bus.tests.toy_delivery import BOOKED, DLQ, GROUP, PLACED, Desk, order, reasons, send
from libs.bus.tests.toy_service import running, settled
from libs.bus.tests.toy_stores import MemoryKit

pytestmark = [pytest.mark.usefixtures("quick_loops"), pytest.mark.asyncio]
HUGE = DLQ_MAX_BYTES + 1
LARGE_BODY = replace(order("a", 2), value=b" " * HUGE)
LARGE_HEADER = replace(order("a", 2), headers=(*order("a", 2).headers, ("x-note", bytes(HUGE))))


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    """A log that takes what a broker takes compressed."""
    opened = await LocalLog.open(tmp_path / "log.db", sync="normal")
    main, *dlqs = specs([PLACED])
    await opened.create_topics([replace(main, max_record_bytes=2 * HUGE), *dlqs])
    await opened.create_topics(specs([BOOKED]))
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("large", "part", "reason"),
    [(LARGE_BODY, "body", "oversize"), (LARGE_HEADER, "headers", "permanent")],
    ids=["body", "header"],
)
async def test_it_is_buried_without_its_largest_part(
    log: LocalLog, memory_kit: MemoryKit, large: OutRecord, part: str, reason: str
) -> None:
    desk = Desk(failing={2: lambda: Permanent("never")})
    await send(log, [order("a", 1), large, order("a", 3)])
    async with running(log, memory_kit, desk) as service:
        await settled(log, memory_kit)
        assert await service.checks["consumer"]()
    assert await memory_kit.booked() == {"a": [1, 3]}
    (letter,) = [item async for item in letters(log, PLACED.name, GROUP)]
    assert (letter.reason, letter.left_out.split(" ")[0]) == (reason, part)


async def test_a_replay_says_that_it_cannot_and_goes_on(
    log: LocalLog, memory_kit: MemoryKit
) -> None:
    desk = Desk(failing={3: lambda: Permanent("not yet")})
    await send(log, [order("a", 1), LARGE_BODY, order("a", 3)])
    async with running(log, memory_kit, desk) as service:
        await settled(log, memory_kit)
        desk.failing.clear()
        assert service.replays is not None
        with pytest.raises(Permanent, match=r"cannot be replayed.*smaller"):
            await service.replays.one(PLACED.name, (0, 0))
        assert await service.replays.all(PLACED.name) == Replayed(applied=1, rejected=1)
        assert await service.replays.all(PLACED.name) == Replayed(applied=0, rejected=1)
        assert await service.checks["consumer"]()
    assert await memory_kit.booked() == {"a": [1, 3]}
    assert await depth(log, PLACED.name, GROUP) == 1
    first, _, *again = await read_all(log, DLQ)
    assert reasons([first, *again]) == [("oversize", "1")] * 3
    for letter in again:
        assert left_out(letter) == left_out(first) == f"body ({HUGE} bytes)"
        assert f"without: body ({HUGE} bytes)" in dlq_fields(letter)["message"]
        assert "order.placed.v1[" in dlq_fields(letter)["message"]
