"""A store that was lost is noticed at start, and its topics are read again."""

from __future__ import annotations

import asyncio

import pytest
from bus.errors import BusError, Unavailable
from bus.provision import specs
from bus.record import OutRecord, TopicPartition
from contracts.topics import AFFINITY_CHANGED, CAMPAIGN_CHANGED
from devkit.fake_log import FakeLog
from recommender.rebuilding import Rebuild, StoreLost

pytestmark = pytest.mark.asyncio
TOPICS = (AFFINITY_CHANGED, CAMPAIGN_CHANGED)
GROUP = "recommender"


class Mark:
    def __init__(self, *, there: bool = False, appears: bool = False) -> None:
        self.there = there
        self._appears = appears

    async def known(self) -> bool:
        answer, self.there = self.there, self.there or self._appears
        return answer

    async def mark(self) -> None:
        self.there = True


async def log_with_commits() -> FakeLog:
    log = FakeLog()
    await log.create_topics(specs())
    await log.reset(GROUP, {TopicPartition(AFFINITY_CHANGED.name, 2): 7})
    await log.reset(GROUP, {TopicPartition(CAMPAIGN_CHANGED.name, 0): 3})
    await log.reset("another", {TopicPartition(CAMPAIGN_CHANGED.name, 0): 3})
    return log


async def committed(log: FakeLog, group: str = GROUP) -> int:
    found = [await log.committed(group, topic.name) for topic in TOPICS]
    return sum(offset for offsets in found for offset in offsets.values())


async def test_a_lost_store_is_filled_from_the_beginning_of_its_topics() -> None:
    log, mark = await log_with_commits(), Mark()
    await Rebuild(log, GROUP, TOPICS, mark).start()
    assert await committed(log) == 0
    assert await committed(log, "another") == 3
    assert mark.there


async def test_a_store_that_is_there_goes_on_where_it_was() -> None:
    log = await log_with_commits()
    await Rebuild(log, GROUP, TOPICS, Mark(there=True)).start()
    assert await committed(log) == 10


async def test_a_new_store_of_a_new_group_is_marked() -> None:
    log, mark = FakeLog(), Mark()
    await log.create_topics(specs())
    await Rebuild(log, GROUP, TOPICS, mark).start()
    assert mark.there


async def test_while_others_consume_nothing_is_reset() -> None:
    log, mark = await log_with_commits(), Mark()
    await log.consumer(GROUP, [AFFINITY_CHANGED.name])
    with pytest.raises(BusError, match="members"):
        await Rebuild(log, GROUP, TOPICS, mark).start()
    assert not mark.there
    assert await committed(log) == 10


async def test_another_that_was_faster_is_good_enough() -> None:
    log, mark = await log_with_commits(), Mark(appears=True)
    await log.consumer(GROUP, [AFFINITY_CHANGED.name])
    await Rebuild(log, GROUP, TOPICS, mark).start()
    assert await committed(log) == 10


async def test_a_log_that_is_down_leaves_no_mark() -> None:
    log, mark = await log_with_commits(), Mark()
    log.append([OutRecord(AFFINITY_CHANGED.name, b"k", b"v")])
    log.down = True
    with pytest.raises(Unavailable):
        await Rebuild(log, GROUP, TOPICS, mark, patience=0).start()
    assert not mark.there


async def test_a_log_that_is_not_there_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender.rebuilding.RETRY_SECONDS", 0.01)
    log, mark = await log_with_commits(), Mark()
    log.down = True
    starting = asyncio.create_task(Rebuild(log, GROUP, TOPICS, mark).start())
    await asyncio.sleep(0.05)
    assert not starting.done()
    log.down = False
    await starting
    assert mark.there
    assert await committed(log) == 0


async def test_a_store_that_is_lost_while_it_is_used_ends_the_service() -> None:
    log, mark = await log_with_commits(), Mark(there=True)
    rebuild = Rebuild(log, GROUP, TOPICS, mark)
    await rebuild.watch()
    mark.there = False
    with pytest.raises(StoreLost):
        await rebuild.watch()
