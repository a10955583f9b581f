"""From events to lists, over the store in memory and in Redis: in order, out of it, and again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from bus.codec import Delivered, Emit
from bus.errors import Permanent
from contracts.events.base import Event
from contracts.events.marketing import (
    AffinityChanged,
    AffinityPath,
    CampaignChanged,
    CampaignEmbedded,
    Candidate,
    EngagementRecorded,
    FrequencyCap,
    IntentScore,
    PopularCampaignsChanged,
    RecommendationChanged,
    UserForgotten,
)
from contracts.topics import (
    AFFINITY_CHANGED,
    CAMPAIGN_CHANGED,
    CAMPAIGN_EMBEDDED,
    ENGAGEMENT_RECORDED,
    POPULAR_CAMPAIGNS_CHANGED,
    RECOMMENDATION_CHANGED,
    USER_FORGOTTEN,
)
from recommender.domain.catalog import Catalog
from recommender.domain.models import Kind
from recommender.domain.ports import Offers
from recommender.handlers import (
    on_affinities_changed,
    on_campaigns_changed,
    on_campaigns_embedded,
    on_engagements_recorded,
    on_published,
    on_users_forgotten,
)
from recommender.recommending import Recommender
from services.recommender.tests.kits import DAY, NOW, Kit, delivered, engagement

pytestmark = pytest.mark.asyncio
HANDLERS: dict[str, Any] = {
    AFFINITY_CHANGED.name: on_affinities_changed,
    ENGAGEMENT_RECORDED.name: on_engagements_recorded,
    CAMPAIGN_CHANGED.name: on_campaigns_changed,
    CAMPAIGN_EMBEDDED.name: on_campaigns_embedded,
    USER_FORGOTTEN.name: on_users_forgotten,
}
HOUR = timedelta(hours=1)


def offered(key: str, tenant: str = "t-1", at: datetime = NOW - DAY, **more: Any) -> Any:
    event = CampaignChanged(campaign_id=key, title=key.title(), changed_at=at, **more)
    return delivered(CAMPAIGN_CHANGED, event, tenant)


def connected(
    *keys: str, user: str = "ada", tenant: str = "t-1", version: int = 1, **more: Any
) -> Any:
    """A user is near campaigns, the first the nearest."""
    candidates = tuple(
        Candidate(
            campaign_id=key,
            affinity=1 - place / 10,
            paths=(AffinityPath(kind="similar-users", weight=0.5, users=3),),
        )
        for place, key in enumerate(keys)
    )
    more = {"heard_at": NOW, "computed_at": NOW, **more}
    event = AffinityChanged(user_id=user, version=version, candidates=candidates, **more)
    return delivered(AFFINITY_CHANGED, event, tenant)


def did(
    kind: Any, key: str, user: str = "ada", tenant: str = "t-1", at: datetime = NOW, **more: Any
) -> Any:
    more = {"engagement_id": f"{kind}-{key}-{user}-{at}", "happened_at": at, **more}
    event = EngagementRecorded.model_validate(
        {"user_id": user, "campaign_id": key, "kind": kind, **more}
    )
    return delivered(ENGAGEMENT_RECORDED, event, tenant, at=at)


def forgotten(user: str = "ada", tenant: str = "t-1", at: datetime = NOW) -> Any:
    event = UserForgotten(user_id=user, forgotten_at=at)
    return delivered(USER_FORGOTTEN, event, tenant)


async def feed(kit: Kit, *items: Delivered[Event]) -> list[Emit]:
    """Each on its own, as the consumer does."""
    emits: list[Emit] = []
    for item in items:
        found = await unpublished(kit, item)
        await on_published(found, kit.desk)
        emits += found
    return emits


async def unpublished(kit: Kit, item: Delivered[Event]) -> list[Emit]:
    """What a consumer has in hand that dies before it publishes."""
    return list(await HANDLERS[item.record.topic]([item], kit.desk))


def lists(emits: Sequence[Emit]) -> list[RecommendationChanged]:
    return [one.event for one in emits if isinstance(one.event, RecommendationChanged)]


def popular(emits: Sequence[Emit]) -> list[PopularCampaignsChanged]:
    return [one.event for one in emits if isinstance(one.event, PopularCampaignsChanged)]


def keys(event: RecommendationChanged | PopularCampaignsChanged) -> list[str]:
    return [item.campaign_id for item in event.items]


@pytest.fixture
def shop() -> list[Any]:
    return [offered("tea"), offered("espresso"), offered("filter")]


async def test_an_affinity_becomes_a_list_with_reasons(kit: Kit, shop: list[Any]) -> None:
    await feed(kit, *shop)
    (cause,) = heard = [connected("espresso", "tea")]
    (emit,) = await feed(kit, *heard)
    assert emit.cause is cause
    assert emit.topic is RECOMMENDATION_CHANGED
    (found,) = lists([emit])
    assert (found.user_id, found.source, found.forgotten) == ("ada", "personal", False)
    assert keys(found) == ["espresso", "tea", "filter"]
    assert [item.source for item in found.items] == ["personal", "personal", "popular"]
    assert found.items[0].title == "Espresso"
    assert found.items[0].reasons[0].text == "3 people who say similar things engaged with this"
    assert found.ranker_version == "affinity-1"
    assert found.as_of == NOW


async def test_the_same_event_again_is_published_again_until_the_log_has_it(
    kit: Kit, shop: list[Any]
) -> None:
    await feed(kit, *shop)
    heard = connected("espresso")
    first = lists(await unpublished(kit, heard))
    assert len(first) == 1
    assert lists(await feed(kit, heard)) == first
    assert await feed(kit, heard) == []


async def test_another_event_with_the_same_outcome_is_not_published(
    kit: Kit, shop: list[Any]
) -> None:
    await feed(kit, *shop)
    first = connected("espresso")
    await feed(kit, first)
    assert await feed(kit, connected("espresso", version=2)) == []
    assert len(await feed(kit, connected("tea", version=3))) == 1
    assert await feed(kit, first) == []


async def test_an_older_affinity_does_not_come_back(kit: Kit, shop: list[Any]) -> None:
    await feed(kit, *shop)
    (newer,) = lists(await feed(kit, connected("tea", version=2)))
    assert await feed(kit, connected("espresso", version=1)) == []
    (found,) = lists(await feed(kit, did("conversion", "filter")))
    assert keys(found) == ["tea", "espresso"]
    assert found.version > newer.version


async def test_a_batch_makes_one_list_of_each_user(kit: Kit, shop: list[Any]) -> None:
    await feed(kit, *shop)
    batch = [
        connected("tea", version=2),
        connected("espresso", version=1),
        connected("filter", user="ben"),
        connected("espresso", user="ben", version=9, heard_at=NOW + HOUR),
    ]
    emits = await on_affinities_changed(batch, kit.desk)
    assert {one.user_id: keys(one)[0] for one in lists(emits)} == {"ada": "tea", "ben": "espresso"}
    assert [emit.cause for emit in emits] == [batch[1], batch[3]]


async def test_a_batch_that_comes_again_in_parts_publishes_what_it_had_to(
    kit: Kit, shop: list[Any]
) -> None:
    await feed(kit, *shop)
    batch = [did("click", "tea"), did("conversion", "espresso"), did("click", "filter", "ben")]
    first = lists(await on_engagements_recorded(batch, kit.desk))
    assert len(first) == 2
    again = [lists(await feed(kit, item)) for item in batch]
    assert again == [[], first[:1], first[1:]]


async def test_a_conversion_takes_the_campaign_away_at_once(kit: Kit, shop: list[Any]) -> None:
    await feed(kit, *shop, connected("espresso", "tea"))
    (found,) = lists(await feed(kit, did("conversion", "espresso")))
    assert keys(found) == ["tea", "filter"]


async def test_a_cap_that_fills_takes_the_campaign_away_and_gives_it_back(kit: Kit) -> None:
    cap = FrequencyCap(impressions=2, hours=3)
    await feed(kit, offered("tea", frequency_cap=cap), offered("espresso"), connected("tea"))
    assert await feed(kit, did("impression", "tea", at=NOW - 2 * HOUR)) == []
    (found,) = lists(await feed(kit, did("impression", "tea", at=NOW - HOUR)))
    assert keys(found) == ["espresso"]
    assert (await kit.agenda.due({"t-1": 9}))["t-1"].users == ()
    kit.clock.advance(3600)
    assert (await kit.agenda.due({"t-1": 9}))["t-1"].users == ("ada",)


async def test_an_engagement_sent_twice_fills_no_cap(kit: Kit) -> None:
    cap = FrequencyCap(impressions=2, hours=3)
    await feed(kit, offered("tea", frequency_cap=cap), connected("tea"))
    shown = [did("impression", "tea", engagement_id="e-1", at=NOW - n * HOUR) for n in (0, 1)]
    assert await feed(kit, *shown, *shown) == []


async def test_an_engagement_counts_before_its_campaign_is_known(kit: Kit) -> None:
    await feed(kit, offered("tea"), did("click", "early", "ben"), connected("early", "tea"))
    emits = await feed(kit, offered("early"))
    (found,) = popular(emits)
    assert keys(found) == ["early", "tea"]
    assert found.items[0].reasons[0].text == "1 person engaged with this lately"
    await kit.agenda.walk("t-1", 1)
    assert "ada" in (await kit.agenda.due({"t-1": 9}))["t-1"].users


async def test_an_older_state_of_a_campaign_changes_nothing(kit: Kit) -> None:
    newer = offered("tea", at=NOW, deleted=True)
    assert keys(popular(await feed(kit, newer))[0]) == []
    assert await feed(kit, offered("tea", at=NOW - DAY)) == []
    (found,) = lists(await feed(kit, connected("tea")))
    assert found.items == ()


async def test_a_campaign_makes_its_tenants_popular_list(kit: Kit, shop: list[Any]) -> None:
    emits = await on_campaigns_changed([*shop, offered("other", "t-2")], kit.desk)
    assert [emit.cause for emit in emits] == [shop[-1], emits[1].cause]
    assert {emit.cause.tenant_id: keys(emit.event) for emit in emits} == {  # type: ignore[arg-type]
        "t-1": ["espresso", "filter", "tea"],
        "t-2": ["other"],
    }
    assert all(emit.topic is POPULAR_CAMPAIGNS_CHANGED for emit in emits)
    assert popular(emits)[0].list_id == "popular"


async def test_a_campaign_that_comes_again_is_published_again(kit: Kit) -> None:
    told = offered("tea")
    first = popular(await unpublished(kit, told))
    assert len(first) == 1
    assert popular(await feed(kit, told)) == first
    assert await feed(kit, offered("tea")) == []


async def test_a_vector_makes_lists_diverse(kit: Kit) -> None:
    def vector(key: str, *values: float) -> Any:
        event = CampaignEmbedded(campaign_id=key, model="m@1", vector=values, changed_at=NOW)
        return delivered(CAMPAIGN_EMBEDDED, event)

    names = ("tea", "tea-too", "espresso")
    await feed(kit, *map(offered, names))
    near = tuple(
        Candidate(campaign_id=key, affinity=x) for key, x in zip(names, (1, 0.9, 0.89), strict=True)
    )
    (before,) = lists(await feed(kit, _with(connected(), near, 1)))
    assert keys(before) == list(names)
    vectors = [vector("tea", 1, 0), vector("tea-too", 1, 0.1), vector("espresso", 0, 1)]
    assert await feed(kit, *vectors) == []
    (found,) = lists(await feed(kit, _with(connected(), near, 2)))
    assert keys(found) == ["tea", "espresso", "tea-too"]


def _with(item: Any, candidates: tuple[Candidate, ...], version: int) -> Any:
    update = {"candidates": candidates, "version": version}
    return delivered(AFFINITY_CHANGED, item.event.model_copy(update=update))


async def test_a_vector_without_direction_is_permanent(kit: Kit) -> None:
    event = CampaignEmbedded(campaign_id="tea", model="m@1", vector=(0.0, 0.0), changed_at=NOW)
    item = delivered(CAMPAIGN_EMBEDDED, event)
    with pytest.raises(Permanent, match="no direction"):
        await feed(kit, item)


async def test_who_asks_first_is_shown_what_answers(kit: Kit) -> None:
    await feed(kit, offered("aaa"), offered("tea", intents=("buy_tea",)))
    intents = (IntentScore(intent="buy_tea", score=0.5, latest=True),)
    (found,) = lists(await feed(kit, connected(intents=intents)))
    assert keys(found) == ["tea", "aaa"]
    assert found.source == "intent"
    assert found.items[0].reasons[0].text == "you asked about buy tea"


async def test_who_only_engaged_has_a_list_too(kit: Kit, shop: list[Any]) -> None:
    await feed(kit, *shop)
    (found,) = lists(await feed(kit, did("dismissal", "tea")))
    assert keys(found) == ["espresso", "filter"]
    assert found.source == "popular"


async def test_what_is_said_to_happen_later_happens_now(kit: Kit) -> None:
    cap = FrequencyCap(impressions=1, hours=1)
    await feed(kit, offered("tea", frequency_cap=cap), connected("tea"))
    ahead = did("impression", "tea", happened_at=NOW + 9000 * DAY)
    assert keys(lists(await feed(kit, ahead))[0]) == []
    kit.clock.advance(3600)
    assert (await kit.agenda.due({"t-1": 9}))["t-1"].users == ("ada",)


async def test_who_is_forgotten_has_no_list_and_what_comes_late_makes_none(
    kit: Kit, shop: list[Any]
) -> None:
    (first,) = lists(await feed(kit, *shop, connected("espresso"), did("click", "tea")))
    told = forgotten()
    (emit,) = await feed(kit, told)
    (found,) = lists([emit])
    assert (found.forgotten, found.items) == (True, ())
    assert found.version > first.version
    assert lists(await feed(kit, told)) == [found]
    late = [connected("tea", version=9), did("conversion", "espresso")]
    assert await feed(kit, *late) == []
    assert await kit.people.read([("t-1", "ada")]) == {}


async def test_who_comes_back_is_welcome(kit: Kit, shop: list[Any]) -> None:
    await feed(kit, *shop, connected("espresso"))
    (gone,) = lists(await feed(kit, forgotten()))
    later = NOW + timedelta(microseconds=1)
    (found,) = lists(await feed(kit, connected("tea", version=1, heard_at=later)))
    assert keys(found)[0] == "tea"
    assert found.version > gone.version


async def test_sums_keep_what_a_forgotten_user_did(kit: Kit) -> None:
    await feed(kit, did("click", "tea"), forgotten(), offered("tea"))
    (found,) = popular(await feed(kit, offered("aaa")))
    assert keys(found) == ["tea", "aaa"]
    assert found.items[0].reasons[0].users == 1


async def test_one_tenant_sees_nothing_of_another(kit: Kit) -> None:
    await feed(kit, offered("tea"), offered("tea", "t-2"), offered("only", "t-2"))
    await feed(kit, did("conversion", "tea", engagement_id="same"))
    await feed(kit, connected("tea"))
    emits = await feed(kit, connected("tea", "only", tenant="t-2"))
    (found,) = lists(emits)
    assert keys(found) == ["tea", "only"]
    assert found.items[0].reasons[0].users == 3
    assert {emit.cause.tenant_id for emit in emits} == {"t-2"}
    bought = did("conversion", "only", tenant="t-2", engagement_id="same")
    assert keys(lists(await feed(kit, bought))[0]) == ["tea"]


class Restless:
    """Offers while whose catalogs are read the user does something."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.read = 0

    async def catalogs(self, tenants: Collection[str]) -> Mapping[str, Catalog]:
        found = await self._kit.offers.catalogs(tenants)
        await self._kit.people.take_engagements([("t-1", engagement(Kind.IMPRESSION, "tea"))])
        self.read += 1
        return found


async def test_a_user_who_keeps_changing_is_left_to_the_sweep(kit: Kit, shop: list[Any]) -> None:
    await feed(kit, *shop, connected("espresso"))
    restless = Restless(kit)
    recommender = Recommender(kit.people, cast(Offers, restless), kit.policy, kit.clock)
    known = await kit.people.read([("t-1", "ada")])
    assert await recommender.rank(known, {("t-1", "ada"): "c"}) == []
    assert restless.read == 4
    assert (await kit.agenda.due({"t-1": 9}))["t-1"].users == ("ada",)


async def test_a_user_who_changed_meanwhile_is_ranked_as_they_are(
    kit: Kit, shop: list[Any]
) -> None:
    await feed(kit, *shop, connected("espresso"))
    user = ("t-1", "ada")
    before = await kit.people.read([user])
    await kit.people.take_engagements([("t-1", engagement(Kind.CONVERSION, "espresso"))])
    (found,) = await kit.recommender.rank(before, {user: "c"})
    assert [item.campaign_id for item in found.ranking.items] == ["filter", "tea"]
