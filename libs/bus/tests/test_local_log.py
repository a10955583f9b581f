from __future__ import annotations

import asyncio
import re
import resource
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bus.errors import LogUnavailable, Permanent, RecordTooLarge
from bus.local import LocalLog, LogLocked, LogTooNew
from bus.port import Log, TopicSpec
from bus.record import OutRecord, TopicPartition
from devkit.conformance.log import LogConformance
from devkit.conformance.log_records import DAY, Expire
from devkit.conformance.polling import (
    numbered,
    read_all,
    send,
    values,
)

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000

OpenLog = Callable[..., Awaitable[LocalLog]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log.db"


@pytest_asyncio.fixture
async def open_log(path: Path) -> AsyncIterator[OpenLog]:
    async with AsyncExitStack() as opened:

        async def open_it(**options: Any) -> LocalLog:
            log = await LocalLog.open(path, **options)
            opened.push_async_callback(log.close)
            return log

        yield open_it


class TestLocalLog(LogConformance):
    @pytest_asyncio.fixture(params=["full", "normal"])
    async def log(self, open_log: OpenLog, request: pytest.FixtureRequest) -> Log:
        return await open_log(sync=request.param)

    @pytest.fixture
    def reopen(self, log: Log, open_log: OpenLog) -> Callable[[], Awaitable[Log]]:
        async def close_and_open() -> Log:
            await log.close()
            return await open_log()

        return close_and_open

    @pytest.fixture
    def expire(self, log: LocalLog) -> Expire:
        async def prune(_: str) -> None:
            later = time.time() + (2 * DAY).total_seconds()
            await log.prune(int(later * 1000))

        return prune

    @pytest.fixture
    def connect(self, path: Path) -> str:
        return f"""
from pathlib import Path
from bus.local import LocalLog
async def connect():
    return await LocalLog.open(Path({str(path)!r}))
"""

    @pytest.mark.xfail(
        strict=True, raises=AssertionError, reason="the local log is for one process"
    )
    async def test_members_in_two_processes_share_the_partitions(
        self, log: Log, topic: str, group: str, connect: str
    ) -> None:
        await super().test_members_in_two_processes_share_the_partitions(log, topic, group, connect)


# --- the file ---------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_another_process_is_told_who_holds_the_log(open_log: OpenLog, path: Path) -> None:
    await open_log()
    code = f"""
import asyncio, os
from pathlib import Path
from bus.local import LocalLog, LogLocked
try:
    asyncio.run(LocalLog.open(Path({str(path)!r})))
except LogLocked as error:
    print(f"{{os.getppid()}} {{error}}")
"""
    async with python(code) as process:
        output, _ = await process.communicate()
    holder, _, message = output.decode().partition(" ")
    assert f"process {holder}" in message
    assert str(path) in message


@pytest.mark.asyncio
async def test_a_second_open_in_this_process_is_refused_until_the_first_closes(
    open_log: OpenLog,
) -> None:
    first = await open_log()
    with pytest.raises(LogLocked):
        await open_log()
    await first.close()
    assert await (await open_log()).healthy()


@pytest.mark.asyncio
async def test_a_newer_schema_is_refused_and_left_alone(open_log: OpenLog, path: Path) -> None:
    await (await open_log()).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for _ in range(2):  # and the lock has been let go
        with pytest.raises(LogTooNew, match=r"version 99.*run the newer program"):
            await open_log()


@pytest.mark.asyncio
async def test_a_file_that_is_no_log_is_refused(open_log: OpenLog, path: Path) -> None:
    await asyncio.to_thread(path.parent.mkdir)
    await asyncio.to_thread(path.write_bytes, b"no database at all " * 100)
    with pytest.raises(LogUnavailable, match=re.escape(str(path))) as caught:
        await open_log()
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)


@pytest.mark.asyncio
async def test_every_acknowledged_record_survives_a_kill(open_log: OpenLog, path: Path) -> None:
    code = f"""
import asyncio
from datetime import timedelta
from pathlib import Path
from bus.local import LocalLog
from bus.port import TopicSpec
from bus.record import OutRecord

async def sender(producer, name):
    for n in range(1_000_000):
        await producer.send([OutRecord("t", b"%d" % name, b"%d/%d/%d" % (name, n, part))
                             for part in range(3)])
        print(name, n, flush=True)

async def main():
    log = await LocalLog.open(Path({str(path)!r}))
    await log.create_topics([TopicSpec("t", 4, timedelta(days=1))])
    producer = await log.producer()
    await asyncio.gather(*(sender(producer, name) for name in range(8)))

asyncio.run(main())
"""
    async with python(code) as process:
        assert process.stdout is not None
        acknowledged = [await process.stdout.readline() for _ in range(500)]
        process.kill()
        acknowledged += (await process.stdout.read()).splitlines(keepends=True)
    complete = [line.split() for line in acknowledged if line.endswith(b"\n")]
    assert len(complete) >= 500
    found = Counter(values(await read_all(await open_log(), "t")))
    expected = [b"%s/%s/%d" % (name, n, part) for name, n in complete for part in range(3)]
    assert not set(expected) - set(found)
    assert set(found.values()) == {1}
    assert len(found) % 3 == 0  # no send is there by half


@pytest.mark.asyncio
async def test_a_full_disk_refuses_and_leaves_nothing_by_half(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics([TopicSpec("t", 4, HOUR)])
    await send(log, numbered("t", 10))
    before = await read_all(log, "t")
    with file_size_limit(200_000), pytest.raises(LogUnavailable) as caught:
        await send(log, [OutRecord("t", b"%d" % n, b"x" * 10_000) for n in range(100)])
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert await read_all(log, "t") == before
    await send(log, numbered("t", 10))
    assert len(await read_all(log, "t")) == 20


@pytest.mark.asyncio
async def test_a_transaction_that_fails_leaves_nothing(open_log: OpenLog) -> None:
    broken = False

    def clock() -> int:
        if broken:
            raise RuntimeError("no time")
        return 0

    log = await open_log(clock=clock)
    await log.create_topics([TopicSpec("t", 1, HOUR)])
    partition = TopicPartition("t", 0)
    broken = True
    with pytest.raises(LogUnavailable, match="no time"):
        await log.reset("g", {partition: 7})
    assert not await log.healthy()
    broken = False
    assert await log.committed("g", "t") == {partition: 0}
    assert await log.healthy()


# --- topics and placement ---------------------------------------------------------------------


@pytest.mark.asyncio
async def test_unknown_topics_are_named_with_what_to_do(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics([TopicSpec("t", 1, HOUR)])
    for refused in (
        lambda: send(log, [*numbered("t", 1), OutRecord("nowhere", b"k", b"v")]),
        lambda: log.consumer("g", ["t", "nowhere"]),
        lambda: log.end_offsets("nowhere"),
        lambda: log.committed("g", "nowhere"),
        lambda: log.read(TopicPartition("nowhere", 0), 0, 1),
        lambda: log.reset("g", {TopicPartition("nowhere", 0): 1}),
    ):
        with pytest.raises(Permanent, match=r"'nowhere'.*create_topics"):
            await refused()
    assert await read_all(log, "t") == []


@pytest.mark.asyncio
async def test_an_unknown_partition_is_refused(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics([TopicSpec("t", 2, HOUR)])
    with pytest.raises(Permanent, match=r"t\[2\]"):
        await log.read(TopicPartition("t", 2), 0, 1)


@pytest.mark.asyncio
async def test_the_limit_counts_key_value_and_headers(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics([TopicSpec("t", 1, HOUR, max_record_bytes=20)])
    await send(log, [OutRecord("t", b"12345", b"12345", (("h1", b"123"), ("h2", b"123")))])
    with pytest.raises(RecordTooLarge, match=r"21 bytes.*allows 20"):
        await send(log, [OutRecord("t", b"12345", b"12345", (("h1", b"123"), ("h2", b"1234")))])


@pytest.mark.asyncio
async def test_a_refused_send_does_not_hurt_those_beside_it(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics([TopicSpec("t", 1, HOUR)])
    producer = await log.producer()
    bad = [
        OutRecord("nowhere", b"k", b"v"),
        OutRecord("t", b"k", b"v", (("\ud800", b""),)),
    ]
    outcomes = await asyncio.gather(
        *(producer.send([record]) for record in [*bad, *numbered("t", 5)]), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Permanent] * 2 + [type(None)] * 5
    assert len(await read_all(log, "t")) == 5


@pytest.mark.asyncio
async def test_records_without_key_take_turns(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics([TopicSpec("t", 4, HOUR)])
    await send(log, [OutRecord("t", None, b"v")] * 20)
    assert set((await log.end_offsets("t")).values()) == {5}


# --- the event loop ---------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_event_loop_goes_on_during_a_large_send(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics([TopicSpec("t", 4, HOUR)])
    records = [OutRecord("t", b"%d" % n, b"x" * 200) for n in range(100_000)]
    sending = asyncio.create_task(send(log, records))
    turns = 0
    while not sending.done():
        await asyncio.sleep(0)
        turns += 1
    await sending
    assert turns > 20  # written on the loop itself it takes two or three
    assert sum((await log.end_offsets("t")).values()) == len(records)


@pytest.mark.asyncio
async def test_concurrent_sends_share_their_transactions(open_log: OpenLog, path: Path) -> None:
    log = await open_log()
    await log.create_topics([TopicSpec("t", 1, HOUR)])
    producer = await log.producer()
    await asyncio.gather(*(producer.send([record]) for record in numbered("t", 200)))
    with closing(sqlite3.connect(path)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM batch").fetchone()
    assert rows < 50


@pytest.mark.asyncio
async def test_what_was_sent_before_close_is_acknowledged(open_log: OpenLog) -> None:
    log = await open_log()
    await log.create_topics([TopicSpec("t", 1, HOUR)])
    producer = await log.producer()
    sends = [asyncio.create_task(producer.send([record])) for record in numbered("t", 50)]
    await asyncio.sleep(0)  # lets them be queued
    await log.close()
    await asyncio.gather(*sends)
    assert len(await read_all(await open_log(), "t")) == 50


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """No file of this process may grow beyond ``limit`` bytes: a full disk without filling one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@asynccontextmanager
async def python(code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process running ``code``, its output piped; gone after the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
