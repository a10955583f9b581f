"""What is due without an event is made, published, and only then taken off the list of dues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from bus.errors import LogUnavailable
from bus.provision import specs
from bus.publishing import Publisher
from contracts.events.marketing import PopularCampaignsChanged, RecommendationChanged
from contracts.telemetry import REFRESH_OLDEST, REFRESH_WAITING
from contracts.topics import POPULAR_CAMPAIGNS_CHANGED, RECOMMENDATION_CHANGED
from devkit.fake_log import FakeLog
from recommender.domain.models import Facts, FrequencyCap, Kind
from recommender.domain.ports import Due
from recommender.sweeping import Sweep, backlog_meter, in_turn
from runtime.deadline import Deadline
from runtime.metrics import value
from services.recommender.tests.kits import (
    DAY,
    NOW,
    Kit,
    affinity,
    campaign,
    engagement,
    memory_kit,
)

pytestmark = pytest.mark.asyncio
ADA = ("t-1", "ada")


class Bench:
    """A sweep over stores in memory, and what it publishes."""

    def __init__(self) -> None:
        self.kit: Kit = memory_kit()
        self.log = FakeLog()
        self.publisher = Publisher("recommender", self.log, self.kit.clock)

    def sweep(self, users: int = 10) -> Sweep:
        kit = self.kit
        return Sweep(kit.agenda, kit.people, kit.offers, kit.recommender, self.publisher, users)

    def lists(self) -> list[RecommendationChanged]:
        bodies = self._bodies(RECOMMENDATION_CHANGED.name)
        found = [RecommendationChanged.model_validate_json(one) for one in bodies]
        return sorted(found, key=lambda one: one.version)

    def popular(self) -> list[PopularCampaignsChanged]:
        bodies = self._bodies(POPULAR_CAMPAIGNS_CHANGED.name)
        found = [PopularCampaignsChanged.model_validate_json(one) for one in bodies]
        return sorted(found, key=lambda one: one.version)

    def _bodies(self, topic: str) -> list[bytes]:
        return [
            record.value or b""
            for partition in self.log.partitions(topic)
            for record in self.log.records[partition]
        ]

    async def waiting(self) -> Due:
        return (await self.kit.agenda.due({"t-1": 100}))["t-1"]


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.log.create_topics(specs())
    await made.publisher.start()
    yield made
    await made.publisher.stop(Deadline(1))


async def heard(bench: Bench, *names: str) -> None:
    """Users near tea who have no list yet and are due."""
    users = {("t-1", name): affinity("tea") for name in names}
    await bench.kit.people.take_affinities(users)
    await bench.kit.people.postpone(dict.fromkeys(users, NOW))


async def test_a_list_whose_time_has_come_is_published_once(bench: Bench) -> None:
    await bench.kit.offers.take_campaigns([("t-1", campaign("tea"))])
    await heard(bench, "ada")
    await bench.sweep().turn()
    (found,) = bench.lists()
    assert (found.user_id, [item.campaign_id for item in found.items]) == ("ada", ["tea"])
    assert await bench.waiting() == Due()
    bench.kit.clock.advance(86_400)
    assert (await bench.waiting()).users == ("ada",)
    await bench.sweep().turn()
    assert bench.lists() == [found]
    assert await bench.waiting() == Due()


async def test_a_cap_that_lapsed_gives_the_campaign_back(bench: Bench) -> None:
    capped = replace(campaign("tea"), cap=FrequencyCap(1, DAY / 2))
    await bench.kit.offers.take_campaigns([("t-1", capped)])
    await bench.kit.people.take_engagements([("t-1", engagement(Kind.IMPRESSION, "tea"))])
    await heard(bench, "ada")
    await bench.sweep().turn()
    assert [len(one.items) for one in bench.lists()] == [0]
    bench.kit.clock.advance(43_199)
    await bench.sweep().turn()
    assert len(bench.lists()) == 1
    bench.kit.clock.advance(1)
    await bench.sweep().turn()
    assert [len(one.items) for one in bench.lists()] == [0, 1]
    known = (await bench.kit.people.read([ADA]))[ADA]
    assert known.person.facts == {"tea": Facts((NOW,))}


async def test_campaigns_that_start_and_end_move_lists_and_what_is_popular(bench: Bench) -> None:
    hour = DAY / 24
    shown = replace(campaign("tea"), starts_at=NOW + hour, ends_at=NOW + 3 * hour)
    await bench.kit.offers.take_campaigns([("t-1", shown)])
    await heard(bench, "ada")
    for _ in range(3):
        await bench.sweep().turn()
        bench.kit.clock.advance(3600)
        await bench.sweep().turn()
    assert [len(one.items) for one in bench.lists()] == [0, 1, 0]
    assert [len(one.items) for one in bench.popular()] == [0, 1, 0]


async def test_a_changed_campaign_reaches_the_users_it_concerns(bench: Bench) -> None:
    await bench.kit.offers.take_campaigns([("t-1", campaign("tea"))])
    await heard(bench, "ada", "ben")
    await bench.sweep().turn()
    gone = replace(campaign("tea", at=NOW), deleted=True)
    await bench.kit.offers.take_campaigns([("t-1", gone)])
    assert (await bench.waiting()).walk
    await bench.sweep().turn()
    await bench.sweep().turn()
    assert [one.items for one in bench.lists()[2:]] == [(), ()]
    assert await bench.waiting() == Due()


async def test_at_most_so_many_lists_are_made_in_a_turn(bench: Bench) -> None:
    await heard(bench, *"abcde")
    for left in (3, 1, 0):
        await bench.sweep(users=2).turn()
        assert len((await bench.waiting()).users) == left
    assert len(bench.lists()) == 5


async def test_a_list_that_the_log_does_not_take_stays_due(bench: Bench) -> None:
    await heard(bench, "ada")
    bench.log.down = True
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await bench.sweep().turn()
        assert (await bench.waiting()).users == ("ada",)
        bench.kit.clock.advance(11)
    bench.log.down = False
    await bench.sweep().turn()
    assert len(bench.lists()) == 1
    assert await bench.waiting() == Due()


async def test_a_popular_list_that_the_log_does_not_take_stays_due(bench: Bench) -> None:
    await bench.kit.offers.take_campaigns([("t-1", campaign("tea"))])
    bench.log.down = True
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await bench.sweep().turn()
        assert (await bench.waiting()).popular
        bench.kit.clock.advance(11)
    bench.log.down = False
    await bench.sweep().turn()
    assert len(bench.popular()) == 1
    assert await bench.waiting() == Due()


async def test_an_engagement_moves_what_is_popular_half_a_second_later(bench: Bench) -> None:
    await bench.kit.offers.take_campaigns([("t-1", campaign(key)) for key in ("a", "b")])
    await bench.sweep().turn()
    await bench.kit.people.take_engagements([("t-1", engagement(campaign_id="b"))])
    await bench.sweep().turn()
    assert len(bench.popular()) == 1
    bench.kit.clock.advance(0.5)
    await bench.sweep().turn()
    orders = [[item.campaign_id for item in one.items] for one in bench.popular()]
    assert orders == [["a", "b"], ["b", "a"]]


async def test_who_is_unknown_is_due_no_more(bench: Bench) -> None:
    await bench.kit.people.postpone({ADA: NOW})
    await bench.sweep().turn()
    assert bench.lists() == []
    assert await bench.waiting() == Due()


async def test_two_tenants_are_swept_side_by_side() -> None:
    due = {"t-1": Due(("a", "b", "c")), "t-2": Due(("a",)), "t-3": Due()}
    assert in_turn(due, 3) == [("t-1", "a"), ("t-2", "a"), ("t-1", "b")]
    assert len(in_turn(due, 100)) == 4
    assert in_turn({}, 3) == []


async def test_how_far_behind_it_is_is_measured(bench: Bench) -> None:
    await heard(bench, "ada", "ben")
    bench.kit.clock.advance(90)
    meter = backlog_meter("recommender-test", bench.kit.agenda)
    await meter.start()
    await asyncio.sleep(0.01)
    await meter.stop(Deadline(1))
    assert value(REFRESH_WAITING, service="recommender-test") == 2
    assert value(REFRESH_OLDEST, service="recommender-test") == 90
