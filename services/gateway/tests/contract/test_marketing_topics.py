"""What is kept of golden examples about users and campaigns, whatever comes twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from bus.codec import Delivered, decode
from bus.record import Record
from bus.replay import Replays
from contracts.envelope import from_headers
from contracts.events.base import Event
from contracts.examples import Example, examples
from contracts.paths import SCHEMAS
from contracts.topics import (
    CAMPAIGN_CHANGED,
    POPULAR_CAMPAIGNS_CHANGED,
    RECOMMENDATION_CHANGED,
    SEARCH_ANSWERED,
    SEARCH_REQUESTED,
    TOPICS,
    USER_FORGOTTEN,
)
from devkit.embedded import EmbeddedRedis
from gateway.domain.marketing import NEVER
from gateway.listening import joined
from jsonschema import Draft202012Validator
from services.gateway.tests.feeding import SUBSCRIPTIONS, delivered
from services.gateway.tests.kits import Kit
from services.gateway.tests.marketing import Replica, replica

pytestmark = pytest.mark.asyncio
READ = (
    USER_FORGOTTEN,
    RECOMMENDATION_CHANGED,
    POPULAR_CAMPAIGNS_CHANGED,
    CAMPAIGN_CHANGED,
    SEARCH_ANSWERED,
)
FED = tuple(example for topic in READ for example in examples(topic.name))
KEPT = tuple(each for each in FED if each.topic != SEARCH_ANSWERED.name)
KAFFEEHAUS, BLUEBIRD = "tenant-kaffeehaus", "tenant-bluebird"


def told(example: Example, offset: int = 0) -> Delivered[Event]:
    return delivered(
        Record(example.topic, 0, offset, example.key, example.value, example.headers, 0)
    )


def outside(example: Example) -> Example:
    headers = [(k, b"shop" if k == "ce_source" else v) for k, v in example.headers]
    return Example(example.topic, example.case, tuple(headers), example.key, example.value)


@pytest_asyncio.fixture
async def one(kit: Kit, redis: EmbeddedRedis) -> AsyncIterator[Replica]:
    await kit.pool.execute("TRUNCATE campaigns, outbox")
    async with replica(kit, redis) as made:
        await made.complete()
        yield made


async def state(one: Replica) -> Any:
    """Redis without its clocks, and the table of campaigns."""
    kept: dict[str, Any] = {}
    keys: list[Any] = await one.raw.keys("rec*")
    for key in sorted(keys):
        kind: Any = await one.raw.type(key)
        if kind == b"string":
            kept[key.decode()] = await one.raw.get(key)
        elif kind == b"hash":
            kept[key.decode()] = await one.raw.hgetall(key)
        else:
            kept[key.decode()] = await one.raw.sort(key, alpha=True)
    rows = await one.kit.pool.fetch("SELECT to_jsonb(t)::text AS row FROM campaigns AS t")
    return kept, sorted(row["row"] for row in rows)


async def test_every_topic_that_is_read_here_or_there_is_fed() -> None:
    elsewhere = {item.topic.name for item in SUBSCRIPTIONS} | {"completion.chunked.v1"}
    named = {topic.name for topic in TOPICS if "gateway" in topic.consumers}
    assert {topic.name for topic in READ} == named - elsewhere
    assert all(examples(topic.name) for topic in READ)


@pytest.mark.parametrize("example", KEPT, ids=str)
async def test_every_example_has_its_effect_once(one: Replica, example: Example) -> None:
    before = await state(one)
    await one.apply([told(example)])
    after = await state(one)
    assert after != before
    await one.apply([told(example, 1)])
    assert await state(one) == after


async def test_the_examples_twice_and_backwards_end_in_the_same(one: Replica) -> None:
    ends = []
    for order in ([*KEPT, *KEPT], [*reversed(KEPT), *KEPT]):
        await one.raw.flushall()
        await one.kit.pool.execute("TRUNCATE campaigns")
        await one.complete()
        await one.apply([told(example) for example in order])
        kept, rows = await state(one)
        ends.append(({k: v for k, v in kept.items() if "ready" not in k}, rows))
    assert ends[0] == ends[1]


async def test_the_examples_together_are_lists_that_can_be_read(one: Replica) -> None:
    await one.apply([told(outside(example)) for example in FED])
    ada, ben, cleo = await one.lists.read(KAFFEEHAUS, ["u-ada", "u-ben", "u-cleo"])
    assert json.loads(ada.own or b"")["source"] == "personal"
    assert json.loads(ben.own or b"")["items"][0]["title"] == "梅のお茶"
    assert cleo.own is None  # forgotten
    assert ada.windows["summer-ice"] == NEVER
    (elsewhere,) = await one.lists.read(BLUEBIRD, ["u-ada"])
    assert (elsewhere.own, elsewhere.windows) == (None, {})
    (staff,) = await one.lists.read(KAFFEEHAUS, ["u-staff"])
    assert staff.excluded == {"espresso-week"}
    shown = await one.kit.campaigns.of_tenant(KAFFEEHAUS, 10, None)
    assert [campaign.campaign_id for campaign in shown] == ["espresso-week", "梅-tea"]


@pytest.mark.parametrize("example", examples(SEARCH_ANSWERED.name), ids=str)
async def test_an_answer_is_handed_to_its_tenant_only(one: Replica, example: Example) -> None:
    await one.apply([told(example), told(example, 1)])
    item: Any = told(example)
    search_id, tenant_id = item.event.search_id, from_headers(example.headers).tenant_id
    assert await one.searches.wait("another-tenant", search_id, 0.05) is None
    answer = await one.searches.wait(tenant_id, search_id, 30)
    assert answer is not None
    assert answer.failure == item.event.failure
    assert len(json.loads(answer.body)["hits"]) == len(item.event.hits)


async def test_nothing_that_is_read_here_causes_events(one: Replica) -> None:
    count = "SELECT count(*) FROM outbox WHERE aggregatetype <> 'tenant.changed.v1'"
    await one.apply([told(example) for example in FED])
    assert await one.kit.pool.fetchval(count) == 0
    assert sum(map(len, one.log.records.values())) == 0


async def test_a_search_is_asked_for_as_its_contract_says(one: Replica) -> None:
    await one.api.call("GET", "/v1/search", params={"q": "梅", "wait": 0.05})
    (record,) = [record for records in one.log.records.values() for record in records]
    item = decode({SEARCH_REQUESTED.name: SEARCH_REQUESTED}, record)  # type: ignore[dict-item]
    assert (item.tenant_id, item.envelope.source) == (one.api.tenant_id, "gateway")
    schema = json.loads((SCHEMAS / f"{SEARCH_REQUESTED.name}.json").read_text(encoding="utf-8"))
    assert record.value is not None
    Draft202012Validator(schema).validate(json.loads(record.value))


async def test_dead_letters_of_both_parts_find_their_handlers() -> None:
    seen: list[tuple[str, str]] = []

    def part(name: str, *topics: str) -> Replays:
        async def apply(batch: Sequence[Delivered[Event]]) -> None:
            seen.extend((name, item.record.topic) for item in batch)

        nothing: Any = None
        return Replays(nothing, "gateway", dict.fromkeys(topics, nothing), apply, nothing)

    answered = examples("completion.finished.v1")[0]
    whole = joined(
        part("projections", answered.topic), part("lists", *(topic.name for topic in READ))
    )
    assert whole.topics.keys() == {answered.topic, *(topic.name for topic in READ)}
    for example in (answered, FED[0], FED[-1]):
        await whole.apply([told(example)])
    assert seen == [
        ("projections", answered.topic),
        ("lists", FED[0].topic),
        ("lists", FED[-1].topic),
    ]
