"""What a log promises of records and topics, without any consumer group."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from bus.errors import LogUnavailable, RecordTooLarge
from bus.port import Log, TopicSpec
from bus.record import Headers, OutRecord, TopicPartition, record_bytes

from devkit.conformance.polling import numbered, read_all, send, unique, values

PARTITIONS = 4
DAY = timedelta(days=1)
LIMIT = 10_000  # bytes
Expire = Callable[[str], Awaitable[None]]


class TopicFixture:
    """What all parts of the suite start from."""

    @pytest_asyncio.fixture
    async def topic(self, log: Log) -> str:
        """A new topic of ``PARTITIONS`` partitions."""
        name = unique("conformance")
        await log.create_topics([TopicSpec(name, PARTITIONS, DAY)])
        return name

    @pytest.fixture
    def group(self) -> str:
        """A group nobody has been in."""
        return unique("group")


@pytest.mark.asyncio
class RecordConformance(TopicFixture):
    """Appending, reading by offset, topics, and the life of a log."""

    async def test_a_partition_keeps_the_order_of_sending(self, log: Log, topic: str) -> None:
        records = numbered(topic, 300, key=b"one")
        await send(log, records[:100])
        await send(log, records[100:])
        found = await read_all(log, topic)
        assert values(found) == [record.value for record in records]
        assert [record.offset for record in found] == list(range(300))

    async def test_equal_keys_share_a_partition(self, log: Log, topic: str) -> None:
        for _ in range(3):  # with a producer of its own each time
            await send(log, numbered(topic, 40))
        partitions = defaultdict(set)
        for record in await read_all(log, topic):
            partitions[record.key].add(record.partition)
        assert len(partitions) == 40
        assert all(len(used) == 1 for used in partitions.values())

    async def test_keys_spread_over_all_partitions(self, log: Log, topic: str) -> None:
        await send(log, numbered(topic, 200))
        ends = await log.end_offsets(topic)
        assert sum(ends.values()) == 200
        assert min(ends.values()) > 0

    @pytest.mark.parametrize("value", [None, b"", b"\x00\xff"])
    @pytest.mark.parametrize("key", [None, b"", b"\x00\xff"])
    async def test_null_and_empty_stay_apart(
        self, log: Log, topic: str, key: bytes | None, value: bytes | None
    ) -> None:
        await send(log, [OutRecord(topic, key, value)])
        (found,) = await read_all(log, topic)
        assert (found.key, found.value) == (key, value)

    @pytest.mark.parametrize(
        "headers",
        [
            (),
            (("name", b""),),
            (("raw", b"\xff\xfe\x00\x80"),),
            (("again", b"1"), ("other", b"2"), ("again", b"3"), ("again", b"1")),
            (("größe-大", "größe-大".encode()),),
        ],
        ids=["none", "empty", "no-utf8", "repeated", "beyond-ascii"],
    )
    async def test_headers_come_back_as_sent(self, log: Log, topic: str, headers: Headers) -> None:
        await send(log, [OutRecord(topic, b"k", b"v", headers)])
        (found,) = await read_all(log, topic)
        assert found.headers == headers

    async def test_the_timestamp_is_that_of_the_append(self, log: Log, topic: str) -> None:
        await send(log, numbered(topic, 1))
        (found,) = await read_all(log, topic)
        assert abs(found.timestamp_ms / 1000 - time.time()) < 600  # clocks may differ a little

    async def test_one_send_reaches_several_topics(self, log: Log, topic: str) -> None:
        other = unique("conformance")
        await log.create_topics([TopicSpec(other, 1, DAY)])
        pairs = zip(numbered(topic, 50), numbered(other, 50), strict=True)
        await send(log, [record for pair in pairs for record in pair])
        assert len(await read_all(log, topic)) == 50
        assert values(await read_all(log, other)) == [b"%d" % n for n in range(50)]

    async def test_sending_nothing_is_allowed(self, log: Log, topic: str) -> None:
        await send(log, [])
        assert set((await log.end_offsets(topic)).values()) == {0}

    @pytest.mark.parametrize("part", ["key", "value", "headers"])
    async def test_a_record_too_large_is_refused_and_the_log_goes_on(
        self, log: Log, part: str
    ) -> None:
        name = unique("conformance")
        await log.create_topics([TopicSpec(name, 1, DAY, max_record_bytes=LIMIT)])
        huge = b"x" * (2 * LIMIT)
        large = {
            "key": OutRecord(name, huge, b"v"),
            "value": OutRecord(name, b"k", huge),
            "headers": OutRecord(name, b"k", b"v", (("h", huge),)),
        }[part]
        producer = await log.producer()
        with pytest.raises(RecordTooLarge):
            await producer.send([*numbered(name, 1), large])
        assert await read_all(log, name) == []
        await producer.send([OutRecord(name, b"k", b"fits")])
        assert values(await read_all(log, name)) == [b"fits"]

    @pytest.mark.parametrize("part", ["key", "value", "headers"])
    async def test_a_record_may_be_as_large_as_its_topic_says_and_no_larger(
        self, log: Log, part: str
    ) -> None:
        """Counted by ``record_bytes``, without what the log itself adds."""
        name = unique("conformance")
        await log.create_topics([TopicSpec(name, 1, DAY, max_record_bytes=LIMIT)])
        room = bytes(LIMIT - record_bytes(OutRecord(name, b"k", b"v", (("größe", b"h"),))))
        just, over = (
            OutRecord(
                name,
                b"k" + (filling if part == "key" else b""),
                b"v" + (filling if part == "value" else b""),
                (("größe", b"h" + (filling if part == "headers" else b"")),),
            )
            for filling in (room, room + b"1")
        )
        await send(log, [just])
        with pytest.raises(RecordTooLarge):
            await send(log, [over])
        assert len(await read_all(log, name)) == 1

    async def test_concurrent_senders_lose_and_repeat_nothing(self, log: Log, topic: str) -> None:
        producer = await log.producer()

        async def sender(name: bytes) -> None:
            for record in numbered(topic, 30, key=name):
                await producer.send([record])

        names = [b"sender-%d" % n for n in range(12)]
        await asyncio.gather(*(sender(name) for name in names))
        found = defaultdict(list)
        for record in await read_all(log, topic):
            found[record.key].append(record.value)
        assert found == {name: [b"%d" % n for n in range(30)] for name in names}

    async def test_end_offsets_count_what_was_written(self, log: Log, topic: str) -> None:
        every = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        assert await log.end_offsets(topic) == dict.fromkeys(every, 0)
        await send(log, numbered(topic, 7, key=b"one"))
        ends = await log.end_offsets(topic)
        assert sorted(ends) == every
        assert sorted(ends.values()) == [0, 0, 0, 7]

    async def test_start_offsets_say_what_retention_has_left(
        self, log: Log, topic: str, expire: Expire
    ) -> None:
        every = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        assert await log.start_offsets(topic) == dict.fromkeys(every, 0)
        await send(log, numbered(topic, 100))
        assert await log.start_offsets(topic) == dict.fromkeys(every, 0)
        ends = await log.end_offsets(topic)
        await expire(topic)
        assert await log.start_offsets(topic) == await log.end_offsets(topic) == ends
        await send(log, numbered(topic, 7, key=b"one"))
        assert await log.start_offsets(topic) == ends
        assert sum((await log.end_offsets(topic)).values()) == 107
        for partition in every:
            found = await log.read(partition, 0, 100)
            assert len(found) in (0, 7)
            assert all(record.offset >= ends[partition] for record in found)

    @pytest.mark.parametrize(
        ("offset", "limit", "expected"),
        [
            (0, 100, range(20)),
            (0, 1, range(1)),
            (7, 5, range(7, 12)),
            (18, 5, range(18, 20)),
            (20, 5, ()),
        ],
    )
    async def test_read_starts_at_an_offset_and_obeys_its_limit(
        self, log: Log, offset: int, limit: int, expected: range
    ) -> None:
        name = unique("conformance")
        await log.create_topics([TopicSpec(name, 1, DAY)])
        await send(log, numbered(name, 20))
        found = await log.read(TopicPartition(name, 0), offset, limit)
        assert [record.offset for record in found] == list(expected)
        assert values(found) == [b"%d" % n for n in expected]

    async def test_creating_a_topic_again_changes_nothing(self, log: Log, topic: str) -> None:
        await send(log, numbered(topic, 5))
        other = unique("conformance")
        await log.create_topics([TopicSpec(topic, PARTITIONS + 3, None), TopicSpec(other, 1, DAY)])
        assert len(await log.end_offsets(topic)) == PARTITIONS
        assert len(await read_all(log, topic)) == 5
        assert {topic, other} <= await log.topics()

    async def test_records_outlive_the_log_that_wrote_them(
        self, log: Log, topic: str, reopen: Callable[[], Awaitable[Log]]
    ) -> None:
        headers = (("h", b"\xff"),)
        sent = OutRecord(topic, b"k", None, headers)
        await send(log, [sent])
        before = await read_all(log, topic)
        again = await reopen()
        assert await read_all(again, topic) == before
        await send(again, [sent])
        assert [record.offset for record in await read_all(again, topic)] == [0, 1]

    async def test_a_closed_producer_sends_nothing(self, log: Log, topic: str) -> None:
        producer = await log.producer()
        await producer.close()
        await producer.close()
        with pytest.raises(LogUnavailable):
            await producer.send(numbered(topic, 1))

    async def test_a_log_is_healthy_until_it_is_closed(self, log: Log) -> None:
        assert await log.healthy()
        await log.close()
        assert not await log.healthy()

    async def test_a_closed_log_refuses_to_send(self, log: Log, topic: str) -> None:
        producer = await log.producer()
        await log.close()
        await log.close()
        with pytest.raises(LogUnavailable):
            await producer.send(numbered(topic, 1))
