from __future__ import annotations

from datetime import UTC, datetime

import pytest
from bus.errors import LogUnavailable
from bus.port import TopicSpec
from bus.publishing import Publisher
from bus.record import TopicPartition
from contracts.events.marketing import AffinityChanged
from contracts.telemetry import REFRESH_OLDEST, REFRESH_WAITING
from contracts.topics import AFFINITY_CHANGED
from devkit.fake_log import FakeLog
from graph_loader.adapters.memory import MemoryGraph
from graph_loader.affinities import affinities
from graph_loader.domain import batches
from graph_loader.domain.models import Campaign, Engagement, Statement, Wish
from graph_loader.refreshing import Refresher
from graph_loader.translation import at, micros
from runtime.clock import HeldClock
from runtime.metrics import value

pytestmark = pytest.mark.asyncio
NAME = "graph-loader"
START = datetime(2026, 11, 28, tzinfo=UTC)


class Bench:
    """A refresher on a graph in memory, with a clock that is told."""

    def __init__(self, per_second: float = 100.0) -> None:
        self.graph = MemoryGraph()
        self.log = FakeLog()
        self.clock = HeldClock(START)
        self.publisher = Publisher(NAME, self.log, self.clock)
        self.refresher = Refresher(NAME, self.graph, self.publisher, self.clock, per_second)

    async def start(self) -> None:
        await self.log.create_topics([TopicSpec(AFFINITY_CHANGED.name, 1, None)])
        await self.publisher.start()

    @property
    def now(self) -> int:
        return micros(self.clock.now())

    async def hear(self, user: str, *near: str, similarity: float = 0.9) -> None:
        neighbours = tuple((other, similarity) for other in near)
        said = Statement(
            ("t", user), self.now, self.now, self.now, neighbours, (Wish("pricing", 0.5),)
        )
        await self.graph.change(*batches.statements([said], self.now))

    async def engage(self, user: str, campaign_id: str) -> None:
        done = Engagement(("t", user), campaign_id, "clicked", self.now, self.now)
        await self.graph.change(*batches.engagements([done], self.now))

    async def turn(self, seconds: float = 1.0) -> list[AffinityChanged]:
        """What is told in one turn after so much time."""
        before = len(self.told())
        self.clock.advance(seconds)
        await self.refresher.turn()
        return self.told()[before:]

    def told(self) -> list[AffinityChanged]:
        records = self.log.records[TopicPartition(AFFINITY_CHANGED.name, 0)]
        return [AffinityChanged.model_validate_json(record.value or b"") for record in records]


async def test_a_neighbour_is_told_what_somebody_did() -> None:
    bench = Bench()
    await bench.start()
    await bench.hear("u", "v")
    assert await bench.turn() == []
    await bench.engage("u", "c")
    (told,) = await bench.turn()
    assert (told.user_id, told.candidates[0].campaign_id) == ("v", "c")
    assert told.candidates[0].paths[0].kind == "similar-users"
    assert told.version == micros(told.computed_at)
    assert await bench.turn() == []


async def test_what_did_not_change_is_not_told() -> None:
    bench = Bench()
    await bench.start()
    await bench.hear("u", "v")
    await bench.engage("u", "c")
    assert len(await bench.turn()) == 1
    bench.clock.advance(1)
    await bench.hear("u", "v", similarity=0.9001)
    assert (await bench.graph.backlog()).waiting == 1
    assert await bench.turn() == []
    assert (await bench.graph.backlog()).waiting == 0


async def test_who_is_as_similar_as_before_need_not_be_computed_again() -> None:
    bench = Bench()
    await bench.start()
    await bench.hear("u", "v", "w")
    await bench.turn()
    bench.clock.advance(1)
    await bench.hear("u", "v", "w", "x")
    people = await bench.graph.people([("t", name) for name in "vwx"])
    assert {key: bool(person.stale_at) for key, person in people.items()} == {
        ("t", "v"): False, ("t", "w"): False, ("t", "x"): True
    }  # fmt: skip


async def test_who_waits_longest_comes_first_at_a_bounded_rate() -> None:
    bench = Bench(per_second=4)
    await bench.start()
    for name in "abcdef":
        bench.clock.advance(0.001)
        await bench.hear(f"u{name}", f"v{name}")
        await bench.engage(f"u{name}", "c")
    assert [told.user_id for told in await bench.turn(0.5)] == ["va", "vb"]
    assert value(REFRESH_WAITING, service=NAME) == 6
    assert value(REFRESH_OLDEST, service=NAME) == pytest.approx(0.505)
    assert [told.user_id for told in await bench.turn(0.5)] == ["vc", "vd"]
    assert len(await bench.turn(60)) == 2
    await bench.turn()
    assert value(REFRESH_WAITING, service=NAME) == 0
    assert value(REFRESH_OLDEST, service=NAME) == 0


async def test_time_without_work_is_not_saved_up() -> None:
    bench = Bench(per_second=4)
    await bench.start()
    await bench.turn(3600)
    for name in "abcdefgh":
        await bench.hear(f"u{name}", f"v{name}")
        await bench.engage(f"u{name}", "c")
    assert len(await bench.turn(0.5)) == 4


async def test_a_mark_stays_until_the_log_has_what_is_told() -> None:
    bench = Bench()
    await bench.start()
    await bench.hear("u", "v")
    await bench.engage("u", "c")
    bench.log.down = True
    with pytest.raises(LogUnavailable):
        await bench.turn()
    assert (await bench.graph.backlog()).waiting == 1
    bench.log.down = False
    assert [told.user_id for told in await bench.turn()] == ["v"]


async def test_who_wants_what_a_new_campaign_is_for_is_told() -> None:
    bench = Bench()
    await bench.start()
    await bench.hear("u")
    state = (("t", "c"), Campaign(bench.now, title="C", intents=("pricing",)))
    await bench.graph.change(*batches.campaigns([state], bench.now))
    (told,) = await bench.turn()
    assert (told.user_id, told.candidates[0].campaign_id) == ("u", "c")


async def test_versions_rise_even_if_the_clock_goes_back() -> None:
    bench = Bench()
    await bench.hear("u")
    key = ("t", "u")
    first = (await affinities(bench.graph, [key], bench.clock))[key]
    await bench.graph.remember([first])
    bench.clock.advance(-60)
    second = (await affinities(bench.graph, [key], bench.clock))[key]
    assert second.version == first.version + 1


async def test_times_are_kept_to_the_microsecond() -> None:
    moment = START.replace(microsecond=123_457)
    assert at(micros(moment)) == moment
