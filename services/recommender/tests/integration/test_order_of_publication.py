"""Whatever comes out behind whatever: the last record of each key is what holds in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from bus.codec import Delivered, Emit
from bus.publishing import Publisher
from contracts.events.base import Event
from contracts.events.marketing import (
    AffinityChanged,
    CampaignChanged,
    Candidate,
    EngagementRecorded,
    PopularCampaignsChanged,
    RecommendationChanged,
    UserForgotten,
)
from contracts.topics import (
    AFFINITY_CHANGED,
    CAMPAIGN_CHANGED,
    ENGAGEMENT_RECORDED,
    RECOMMENDATION_CHANGED,
    USER_FORGOTTEN,
    Topic,
)
from recommender.domain.rules import rank
from recommender.handlers import (
    on_affinities_changed,
    on_campaigns_changed,
    on_engagements_recorded,
    on_published,
    on_users_forgotten,
)
from recommender.sweeping import Sweep
from services.recommender.tests.kits import DAY, NOW, Kit, affinity, delivered

pytestmark = pytest.mark.asyncio
ADA = ("t-1", "ada")
HANDLERS: dict[str, Any] = {
    AFFINITY_CHANGED.name: on_affinities_changed,
    ENGAGEMENT_RECORDED.name: on_engagements_recorded,
    CAMPAIGN_CHANGED.name: on_campaigns_changed,
    USER_FORGOTTEN.name: on_users_forgotten,
}
Happening = Callable[["Bench"], Awaitable[None]]


class Died(Exception):
    """The process that was publishing is gone."""


async def nothing(bench: Bench) -> None:
    """Nobody else does anything."""


@dataclass
class Bench:
    """Two processes over one store, and the log: what came out, in its order."""

    one: Kit
    other: Kit
    log: list[Event] = field(default_factory=list)

    async def handle(
        self,
        item: Delivered[Event],
        *,
        kit: Kit | None = None,
        before: Happening = nothing,
        dies: bool = False,
    ) -> None:
        """As a consumer does; ``before`` happens between making and publishing."""
        kit = kit or self.other
        emits: Sequence[Emit] = await HANDLERS[item.record.topic]([item], kit.desk)
        await before(self)
        self.log += [emit.event for emit in emits]
        if dies:
            await self.handle(item)
            return
        await on_published(emits, kit.desk)

    async def sweep(
        self, *, kit: Kit | None = None, before: Happening = nothing, dies: bool = False
    ) -> None:
        """A turn; ``before`` happens between making and publishing users' lists."""
        kit = kit or self.other
        publisher = cast("Publisher", LatePublisher(self, before, dies=dies))
        sweep = Sweep(kit.agenda, kit.people, kit.offers, kit.recommender, publisher, 25)
        if dies:
            with pytest.raises(Died):
                await sweep.turn()
        else:
            await sweep.turn()

    async def rest(self) -> None:
        """Time passes and sweeps go on; in the end nothing is left to do."""
        for _ in range(30):
            self.one.clock.advance(1)
            await self.sweep()
        said = len(self.log)
        self.one.clock.advance(60)
        await self.sweep()
        assert len(self.log) == said

    def last(self, kind: type[Event]) -> Any:
        return [event for event in self.log if isinstance(event, kind)][-1]


class LatePublisher:
    """Publishes after something else has happened."""

    def __init__(self, bench: Bench, before: Happening, *, dies: bool) -> None:
        self._bench = bench
        self._before = before
        self._dies = dies

    async def originate(self, topic: Topic[Any], events: Sequence[tuple[str, Event]]) -> None:
        ours = topic is RECOMMENDATION_CHANGED
        if ours:
            before, self._before = self._before, nothing
            await before(self._bench)
        self._bench.log += [event for _, event in events]
        if ours and self._dies:
            raise Died


def offered(key: str, **more: Any) -> Any:
    event = CampaignChanged(campaign_id=key, **{"title": key, "changed_at": NOW - DAY, **more})
    return delivered(CAMPAIGN_CHANGED, event)


def heard(bench: Bench, *keys: str, version: int = 1) -> Any:
    """Ada is near campaigns from now on."""
    now = bench.one.clock.now()
    candidates = tuple(Candidate(campaign_id=key, affinity=1.0) for key in keys)
    event = AffinityChanged(
        user_id="ada", version=version, candidates=candidates, heard_at=now, computed_at=now
    )
    return delivered(AFFINITY_CHANGED, event)


async def forgotten(bench: Bench) -> None:
    now = bench.one.clock.now()
    event = UserForgotten(user_id="ada", forgotten_at=now)
    told: Any = delivered(USER_FORGOTTEN, event, at=now)
    await bench.handle(told)


async def converted(bench: Bench) -> None:
    now = bench.one.clock.now()
    event = EngagementRecorded(
        engagement_id="e-1", user_id="ada", campaign_id="tea", kind="conversion", happened_at=now
    )
    told: Any = delivered(ENGAGEMENT_RECORDED, event, at=now)
    await bench.handle(told)


async def swept(bench: Bench) -> None:
    """A campaign is taken off, and a sweep of the other process sees to it."""
    gone = offered("tea", deleted=True, changed_at=bench.one.clock.now())
    await HANDLERS[CAMPAIGN_CHANGED.name]([gone], bench.other.desk)
    await bench.sweep()
    await bench.sweep()


async def forgotten_and_back(bench: Bench) -> None:
    await forgotten(bench)
    bench.one.clock.advance(0.001)
    await bench.handle(heard(bench, "filter", version=9))


HAPPENINGS = [forgotten, converted, swept, forgotten_and_back]


@pytest.fixture
def bench(kit: Kit) -> Bench:
    return Bench(kit, kit.another())


async def with_a_list(bench: Bench) -> None:
    """Ada has a list of three; one of its campaigns ends in an hour."""
    hour = NOW + DAY / 24
    for told in (offered("tea"), offered("filter"), offered("espresso", ends_at=hour)):
        await bench.handle(told)
    await bench.sweep()
    await bench.handle(heard(bench, "tea", "espresso"))


async def is_last(bench: Bench) -> None:
    """The last record is the list as it would be made now, or that the user is forgotten."""
    last = bench.last(RecommendationChanged)
    versions = [one.version for one in bench.log if isinstance(one, RecommendationChanged)]
    assert last.version == max(versions)
    known = (await bench.one.people.read([ADA])).get(ADA)
    assert last.forgotten == (known is None)
    if known is not None:
        catalog = (await bench.one.offers.catalogs(["t-1"]))["t-1"]
        wanted = rank(known.person, catalog, bench.one.clock.now(), bench.one.policy)
        assert [item.campaign_id for item in last.items] == [
            item.campaign_id for item in wanted.items
        ]


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("newer", HAPPENINGS)
async def test_a_sweep_that_publishes_late(bench: Bench, newer: Happening, dies: bool) -> None:
    await with_a_list(bench)
    bench.one.clock.advance(3600)
    before = len(bench.log)
    await bench.sweep(kit=bench.one, before=newer, dies=dies)
    assert len(bench.log) >= before + 2
    await bench.rest()
    await is_last(bench)


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("newer", HAPPENINGS)
async def test_a_consumer_that_publishes_late(bench: Bench, newer: Happening, dies: bool) -> None:
    await with_a_list(bench)
    bench.one.clock.advance(1)
    before = len(bench.log)
    told = heard(bench, "espresso", version=2)
    await bench.handle(told, kit=bench.one, before=newer, dies=dies)
    assert len(bench.log) >= before + 2
    await bench.rest()
    await is_last(bench)


@pytest.mark.parametrize("dies", [False, True])
async def test_word_of_forgetting_that_comes_out_late(bench: Bench, dies: bool) -> None:
    async def back(bench: Bench) -> None:
        bench.one.clock.advance(0.001)
        await bench.handle(heard(bench, "filter", version=9))

    await with_a_list(bench)
    event = UserForgotten(user_id="ada", forgotten_at=bench.one.clock.now())
    told: Any = delivered(USER_FORGOTTEN, event)
    await bench.handle(told, kit=bench.one, before=back, dies=dies)
    await bench.rest()
    await is_last(bench)
    assert not bench.last(RecommendationChanged).forgotten


async def test_lists_that_wait_for_others_to_be_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process: ada's list is ready while ben's has to be made a second time."""
    await with_a_list(bench)
    ben, people = ("t-1", "ben"), bench.one.people
    await people.take_affinities({ben: affinity("tea")})
    await people.postpone(dict.fromkeys([ADA, ben], NOW))
    save, tries = people.save, []

    async def saving(drafts: Any) -> Any:
        tries.append(len(drafts))
        stale = [replace(one, revision=1) if one.user == ben else one for one in drafts]
        answers = await save(stale if len(tries) == 1 else drafts)
        if len(tries) == 1:
            await converted(bench)
        return answers

    bench.one.clock.advance(3600)
    with monkeypatch.context() as patch:
        patch.setattr(people, "save", saving)
        await bench.sweep(kit=bench.one)
    assert len(tries) >= 2
    await bench.rest()
    await is_last(bench)


async def test_what_is_popular_ends_with_the_newest_list_too(bench: Bench) -> None:
    async def taken_off(bench: Bench) -> None:
        await bench.handle(offered("tea", deleted=True, changed_at=NOW))

    await with_a_list(bench)
    await bench.handle(offered("mocha"), kit=bench.one, before=taken_off)
    await bench.rest()
    catalog = (await bench.one.offers.catalogs(["t-1"]))["t-1"]
    last: PopularCampaignsChanged = bench.last(PopularCampaignsChanged)
    assert "tea" not in [item.campaign_id for item in last.items]
    assert [item.campaign_id for item in last.items] == list(catalog.standings.order)


async def test_nothing_is_published_twice_when_nothing_overlaps(bench: Bench) -> None:
    await with_a_list(bench)
    await converted(bench)
    bench.one.clock.advance(3600)
    await bench.sweep()
    await forgotten(bench)
    await bench.rest()
    told = [one.version for one in bench.log if isinstance(one, RecommendationChanged)]
    assert len(told) == len(set(told)) == 4
