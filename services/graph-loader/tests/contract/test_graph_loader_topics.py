"""The graph-loader takes every golden example of its topics, twice; it emits what they say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from bus.codec import Delivered, decode
from bus.port import TopicSpec
from bus.publishing import Publisher, PublishingApply, Reaction
from bus.record import Record, TopicPartition
from contracts.events.base import Event
from contracts.events.marketing import AffinityChanged
from contracts.examples import Example, examples
from contracts.paths import SCHEMAS
from contracts.topics import (
    AFFINITY_CHANGED,
    ANSWER_ANALYZED,
    CAMPAIGN_CHANGED,
    CONVERSATION_RECORDED,
    ENGAGEMENT_RECORDED,
    TOPICS,
    USER_EMBEDDED,
    USER_FORGOTTEN,
)
from devkit.fake_log import FakeLog
from graph_loader.adapters.memory import MemoryGraph
from graph_loader.handlers import (
    on_answers_analyzed,
    on_campaigns_changed,
    on_conversations_recorded,
    on_engagements_recorded,
    on_users_embedded,
    on_users_forgotten,
)
from jsonschema import Draft202012Validator
from runtime.clock import SystemClock

pytestmark = pytest.mark.asyncio
NAME = "graph-loader"
SAID = examples(USER_EMBEDDED.name)
DONE = examples(ENGAGEMENT_RECORDED.name)
OFFERED = examples(CAMPAIGN_CHANGED.name)
HELD = examples(CONVERSATION_RECORDED.name)
FORGOTTEN = examples(USER_FORGOTTEN.name)
ANSWERED = examples(ANSWER_ANALYZED.name)
ALL = [*OFFERED, *HELD, *SAID, *DONE, *ANSWERED, *FORGOTTEN]
TOPIC = {topic.name: topic for topic in TOPICS}
SCHEMA = json.loads((SCHEMAS / f"{AFFINITY_CHANGED.name}.json").read_text(encoding="utf-8"))
ADA = ("tenant-kaffeehaus", "u-ada")
BEN = ("tenant-kaffeehaus", "u-ben")
CLEO = ("tenant-kaffeehaus", "u-cleo")


def delivered(example: Example, offset: int = 0) -> Delivered[Event]:
    record = Record(example.topic, 0, offset, example.key, example.value, example.headers, 0)
    return decode(TOPIC, record)


class Consumer:
    """The real handlers, over a graph and a log in memory."""

    def __init__(self) -> None:
        self.graph = MemoryGraph()
        self.log = FakeLog()
        clock = SystemClock()
        self.publisher = Publisher(NAME, self.log, clock)
        acting: list[tuple[Any, Any]] = [
            (USER_FORGOTTEN, on_users_forgotten),
            (CAMPAIGN_CHANGED, on_campaigns_changed),
            (ENGAGEMENT_RECORDED, on_engagements_recorded),
            (USER_EMBEDDED, on_users_embedded),
            (CONVERSATION_RECORDED, on_conversations_recorded),
        ]
        reactions = [
            *(
                Reaction(topic, partial(handle, graph=self.graph, clock=clock))
                for topic, handle in acting
            ),
            Reaction(ANSWER_ANALYZED, partial(on_answers_analyzed, graph=self.graph)),
        ]
        self._apply = PublishingApply(NAME, reactions, self.publisher, clock)

    async def feed(self, *fed: Example) -> None:
        if not await self.log.topics():
            await self.log.create_topics([TopicSpec(AFFINITY_CHANGED.name, 1, None)])
            await self.publisher.start()
        await self._apply([delivered(example, at) for at, example in enumerate(fed)])

    def state(self) -> list[dict[Any, Any]]:
        """Without campaigns of which only somebody who was forgotten has told."""
        graph = self.graph
        known = {key: one for key, one in graph.campaigns.items() if one.changed_at}
        nodes: list[dict[Any, Any]] = [graph.users, graph.tombstones, graph.answers, known]
        edges: list[Mapping[Any, Mapping[Any, Any]]] = [
            graph.similar,
            graph.engaged,
            graph.conversations,
            graph.shared,
        ]
        full = [{key: dict(one) for key, one in part.items() if one} for part in edges]
        return [*map(dict, nodes), *full]

    def emitted(self) -> list[Delivered[AffinityChanged]]:
        records = self.log.records[TopicPartition(AFFINITY_CHANGED.name, 0)]
        for record in records:
            Draft202012Validator(SCHEMA).validate(json.loads(record.value or b""))
        return [decode(TOPIC, record) for record in records]  # type: ignore[misc]

    def last(self) -> dict[tuple[str, str], AffinityChanged]:
        return {(item.tenant_id, item.event.user_id): item.event for item in self.emitted()}


@pytest.mark.parametrize("example", ALL, ids=str)
async def test_every_example_has_its_effect_once(example: Example) -> None:
    consumer = Consumer()
    before = consumer.state()
    await consumer.feed(example)
    after = consumer.state()
    assert after != before
    await consumer.feed(example)
    assert consumer.state() == after


@pytest.mark.parametrize("order", [ALL, ALL[::-1]], ids=["forwards", "backwards"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_graph_is_the_same_whatever_comes_first(
    order: list[Example], at_once: bool
) -> None:
    expected = Consumer()
    for example in ALL:
        await expected.feed(example)
    consumer = Consumer()
    for batch in [[*order, *order]] if at_once else [[each] for each in (*order, *order)]:
        await consumer.feed(*batch)
    assert consumer.state() == expected.state()


async def test_who_spoke_or_engaged_is_told_of_as_its_effect() -> None:
    consumer = Consumer()
    await consumer.feed(*OFFERED, *SAID, *DONE)
    for item in consumer.emitted():
        assert item.envelope.source == NAME
        assert item.envelope.subject == item.record.key.decode() == item.event.user_id  # type: ignore[union-attr]
    causes = {item.envelope.causation_id for item in consumer.emitted()}
    ids = {delivered(example).envelope.id for example in (*SAID, *DONE)}
    assert causes <= ids
    users = {(delivered(one).tenant_id, one.body["user_id"]) for one in (*SAID, *DONE)}
    assert set(consumer.last()) == users


async def test_what_comes_again_is_told_again_with_the_same_id_and_a_higher_version() -> None:
    consumer = Consumer()
    await consumer.feed(SAID[1])
    await consumer.feed(SAID[1])
    first, second = consumer.emitted()
    assert first.envelope.id == second.envelope.id
    assert first.event.version < second.event.version


async def test_candidates_are_explained() -> None:
    consumer = Consumer()
    await consumer.feed(*OFFERED, *DONE, SAID[1])
    ada = consumer.last()[ADA]
    (espresso,) = [one for one in ada.candidates if one.campaign_id == "espresso-week"]
    assert {path.kind for path in espresso.paths} == {"similar-users", "intent", "content"}
    assert [path.weight for path in espresso.paths] == sorted(
        (path.weight for path in espresso.paths), reverse=True
    )
    assert espresso.affinity == pytest.approx(sum(path.weight for path in espresso.paths))
    assert [one.intent for one in ada.intents] == ["espresso_machine", "pricing"]
    assert "u-ben" not in ada.model_dump_json()


async def test_deleted_campaigns_are_no_candidates() -> None:
    consumer = Consumer()
    (deleted,) = [one for one in OFFERED if one.body.get("deleted")]
    (click,) = [
        one for one in DONE if one.body["kind"] == "click" and one.body["user_id"] == "u-ben"
    ]
    await consumer.feed(deleted, moved(click, campaign_id="summer-ice"))
    said = SAID[1]
    near = [{"campaign_id": "summer-ice", "similarity": 0.9}]
    await consumer.feed(moved(said, campaigns=near))
    assert consumer.last()[ADA].candidates == ()


async def test_tenants_with_the_same_ids_do_not_meet() -> None:
    consumer = Consumer()
    await consumer.feed(*OFFERED, *SAID, *DONE)
    mine = consumer.last()
    other = Consumer()
    await other.feed(*OFFERED, *SAID, *DONE)
    await other.feed(*(elsewhere(one) for one in (*SAID, *DONE)))
    for user in (ADA, BEN, CLEO):
        got, expected = other.last()[user], mine[user]
        assert [one.campaign_id for one in got.candidates] == [
            one.campaign_id for one in expected.candidates
        ]
    assert ("another", "u-ada") in other.last()


async def test_a_forgotten_user_is_not_told_of_and_stays_away() -> None:
    consumer = Consumer()
    await consumer.feed(*DONE, SAID[1])
    told = len(consumer.emitted())
    (forgotten,) = [one for one in FORGOTTEN if one.body["user_id"] == "u-cleo"]
    await consumer.feed(forgotten)
    await consumer.feed(*[one for one in DONE if one.body["user_id"] == "u-cleo"], SAID[1])
    assert CLEO not in consumer.graph.users
    assert consumer.graph.similar[ADA].keys() == {BEN}
    assert {item.event.user_id for item in consumer.emitted()[told:]} == {"u-ada"}


def moved(example: Example, **fields: Any) -> Example:
    body = example.body | fields
    return dataclasses.replace(example, value=json.dumps(body).encode())


def elsewhere(example: Example) -> Example:
    headers = tuple(
        (name, b"another" if name == "ce_tenantid" else value) for name, value in example.headers
    )
    return dataclasses.replace(example, headers=headers)
