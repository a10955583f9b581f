"""The recommender takes every golden example of its topics, twice, and emits as they say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from bus.apply import Apply
from bus.codec import Delivered, decode
from bus.provision import specs
from bus.publishing import Publisher, PublishingApply, Reaction
from bus.record import Record
from contracts.events.base import Event
from contracts.events.marketing import PopularCampaignsChanged, RecommendationChanged
from contracts.examples import Example, examples
from contracts.paths import SCHEMAS
from contracts.topics import (
    POPULAR_CAMPAIGNS_CHANGED,
    RECOMMENDATION_CHANGED,
    topic_named,
)
from devkit.fake_log import FakeLog
from jsonschema import Draft202012Validator
from recommender.adapters.memory import MemoryStore
from recommender.adapters.memory_state import StoredUser
from recommender.app import SERVICE
from recommender.handlers import (
    on_affinities_changed,
    on_campaigns_changed,
    on_campaigns_embedded,
    on_engagements_recorded,
    on_published,
    on_users_forgotten,
)
from services.recommender.tests.kits import Kit, memory_kit

pytestmark = pytest.mark.asyncio
HANDLERS: dict[str, Any] = {
    "affinity.changed.v1": on_affinities_changed,
    "engagement.recorded.v1": on_engagements_recorded,
    "campaign.changed.v1": on_campaigns_changed,
    "campaign.embedded.v1": on_campaigns_embedded,
    "user.forgotten.v1": on_users_forgotten,
}
TOPICS = {name: topic_named(name) for name in HANDLERS}
CAMPAIGNS = [*examples("campaign.changed.v1"), *examples("campaign.embedded.v1")]
PEOPLE = [
    *examples("affinity.changed.v1"),
    *examples("engagement.recorded.v1"),
    *examples("user.forgotten.v1"),
]
EVERY = [*CAMPAIGNS, *PEOPLE]
EMITTED = (RECOMMENDATION_CHANGED, POPULAR_CAMPAIGNS_CHANGED)
SCHEMA = {
    topic.name: json.loads((SCHEMAS / f"{topic.name}.json").read_text(encoding="utf-8"))
    for topic in EMITTED
}
KAFFEEHAUS, BLUEBIRD = "tenant-kaffeehaus", "tenant-bluebird"


def delivered(example: Example) -> Delivered[Event]:
    record = Record(example.topic, 0, 0, example.key, example.value, example.headers, 0)
    return decode(TOPICS, record)


class Consumer:
    """The real handlers, over the store in memory and a log in memory."""

    def __init__(self) -> None:
        self.kit: Kit = memory_kit()
        self.log = FakeLog()
        self._publisher = Publisher("recommender", self.log, self.kit.clock)
        reactions = [
            Reaction(TOPICS[name], partial(handle, desk=self.kit.desk))
            for name, handle in HANDLERS.items()
        ]
        self._apply: Apply = PublishingApply(
            "recommender",
            reactions,
            self._publisher,
            self.kit.clock,
            partial(on_published, desk=self.kit.desk),
        )

    async def start(self) -> Consumer:
        await self.log.create_topics(specs())
        await self._publisher.start()
        return self

    async def feed(self, *fed: Example, at_once: bool = False) -> None:
        items = [delivered(example) for example in fed]
        for batch in [items] if at_once else [[item] for item in items]:
            await self._apply(batch)

    def records(self) -> list[Record]:
        return [
            record
            for topic in EMITTED
            for partition in self.log.partitions(topic.name)
            for record in self.log.records[partition]
        ]

    def read_model(self) -> dict[bytes, dict[str, Any]]:
        """What a reader keeps: of each key the highest version."""
        found: dict[bytes, dict[str, Any]] = {}
        for record in self.records():
            body, key = valid(record), record.key or b""
            if key not in found or body["version"] > found[key]["version"]:
                found[key] = body
        return found

    def stored(self) -> dict[str, tuple[object, ...]]:
        """What was taken in, without the revisions that every list that is made moves on."""
        assert isinstance(self.kit.people, MemoryStore)
        return {
            tenant_id: (
                {user_id: _told(user) for user_id, user in tenant.users.items()},
                dict(tenant.campaigns),
                dict(tenant.vectors),
                dict(tenant.tallies),
                dict(tenant.gone),
                tenant.mark,
                tenant.revision,
            )
            for tenant_id, tenant in self.kit.people.tenants.items()
        }

    def items(self, key: str) -> list[str]:
        return [item["campaign_id"] for item in self.read_model()[key.encode()]["items"]]


def _told(user: StoredUser) -> tuple[object, ...]:
    return user.affinity, list(user.engagements), user.version, user.digest


def valid(record: Record) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(record.value or b"")
    Draft202012Validator(SCHEMA[record.topic]).validate(body)
    headers = dict(record.headers)
    tenant, subject = headers["ce_tenantid"].decode(), headers["ce_subject"].decode()
    assert record.key == f"{tenant}/{subject}".encode()
    assert headers["ce_source"] == b"recommender"
    assert headers["ce_causationid"]
    return body


async def test_there_is_a_handler_for_every_topic() -> None:
    assert HANDLERS.keys() == {topic.name for topic in SERVICE.subscriptions}
    assert set(EMITTED) == set(SERVICE.publishes)


@pytest.mark.parametrize("example", EVERY, ids=str)
async def test_every_example_has_its_effect_once(example: Example) -> None:
    consumer = await Consumer().start()
    nothing = consumer.stored()
    await consumer.feed(example)
    stored, told = consumer.stored(), consumer.read_model()
    assert stored != nothing
    await consumer.feed(example)
    assert consumer.stored() == stored
    assert consumer.read_model() == told


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "order", [EVERY, EVERY[::-1], PEOPLE + CAMPAIGNS], ids=["", "back", "late"]
)
async def test_all_examples_come_to_the_same_in_any_order(
    order: Sequence[Example], at_once: bool
) -> None:
    consumer = await Consumer().start()
    await consumer.feed(*order, *order, at_once=at_once)
    model = consumer.read_model()
    assert model.keys() >= {
        b"tenant-kaffeehaus/u-cleo",
        b"tenant-bluebird/u-ada",
        b"tenant-kaffeehaus/popular",
        b"tenant-bluebird/popular",
    }
    assert model[b"tenant-kaffeehaus/u-cleo"]["forgotten"]
    assert model[b"tenant-bluebird/u-ada"]["forgotten"]
    assert not model[b"tenant-kaffeehaus/u-ada"]["forgotten"]
    assert consumer.items("tenant-kaffeehaus/popular") == ["espresso-week", "梅-tea"]
    assert consumer.items("tenant-bluebird/popular") == ["espresso-week"]


async def test_the_examples_are_recommended_what_their_stories_say() -> None:
    consumer = await Consumer().start()
    await consumer.feed(*EVERY)
    # Ada dismissed the tea, Ben has bought the machine, and the ice was deleted.
    assert consumer.items("tenant-kaffeehaus/u-ada") == ["espresso-week"]
    assert consumer.items("tenant-kaffeehaus/u-ben") == ["梅-tea"]
    ada = consumer.read_model()[b"tenant-kaffeehaus/u-ada"]
    assert ada["source"] == "personal"
    assert [reason["text"] for reason in ada["items"][0]["reasons"]] == [
        "3 people who say similar things and asked about pricing engaged with this",
        "you asked about espresso machine",
        "people who engaged with 梅のお茶 also engaged with this",
    ]


@pytest.mark.parametrize("topic", EMITTED, ids=lambda topic: topic.name)
async def test_what_is_emitted_can_be_read_back(topic: Any) -> None:
    consumer = await Consumer().start()
    await consumer.feed(*EVERY)
    read = [
        topic.event.model_validate_json(record.value or b"")
        for record in consumer.records()
        if record.topic == topic.name
    ]
    assert read
    assert all(isinstance(one, RecommendationChanged | PopularCampaignsChanged) for one in read)
    assert {one.ranker_version for one in read} == {
        example.body["ranker_version"] for example in examples(topic.name)
    }


async def test_no_reason_names_a_user() -> None:
    consumer = await Consumer().start()
    await consumer.feed(*EVERY)
    texts = [
        reason["text"]
        for body in consumer.read_model().values()
        for item in body["items"]
        for reason in item["reasons"]
    ]
    assert texts
    assert not any(user in text for text in texts for user in ("u-ada", "u-ben", "u-cleo"))


async def test_another_tenants_people_do_not_meet_the_campaigns() -> None:
    consumer = await Consumer().start()
    moved = [
        dataclasses.replace(
            example,
            headers=tuple(
                (name, b"another" if name == "ce_tenantid" else value)
                for name, value in example.headers
            ),
        )
        for example in PEOPLE
    ]
    await consumer.feed(*CAMPAIGNS, *moved)
    model = consumer.read_model()
    lists = {key: body for key, body in model.items() if key.startswith(b"another/")}
    assert lists
    assert all(body["items"] == [] for body in lists.values())
    assert {body["items"][0].get("reasons") == [] for body in model.values() if body["items"]} == {
        True
    }
