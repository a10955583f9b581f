"""The service takes every golden example of its topics, twice, and emits what its topics say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest
from bus.codec import Delivered, Emit, decode
from bus.errors import TooEarly
from bus.outbox import OutboxRow, derive
from bus.publishing import Publisher, PublishingApply, Reaction
from bus.record import Record
from contracts.events.base import Event
from contracts.examples import Example, examples
from contracts.paths import SCHEMAS
from contracts.topics import (
    CAMPAIGN_CHANGED,
    CAMPAIGN_EMBEDDED,
    COMPLETION_FINISHED,
    CONVERSATION_RECORDED,
    SEARCH_ANSWERED,
    SEARCH_REQUESTED,
    USER_EMBEDDED,
    USER_FORGOTTEN,
    topic_named,
)
from embedding.app import SERVICE
from embedding.handlers import (
    on_campaigns_changed,
    on_campaigns_embedded,
    on_completions_finished,
    on_conversations_recorded,
    on_searches_requested,
    on_users_forgotten,
)
from jsonschema import Draft202012Validator
from services.embedding.tests.embedding_kit import Kit

pytestmark = pytest.mark.asyncio
HANDLERS: dict[Any, Any] = {
    CONVERSATION_RECORDED: on_conversations_recorded,
    CAMPAIGN_CHANGED: on_campaigns_changed,
    CAMPAIGN_EMBEDDED: on_campaigns_embedded,
    USER_FORGOTTEN: on_users_forgotten,
    SEARCH_REQUESTED: on_searches_requested,
    COMPLETION_FINISHED: on_completions_finished,
}
TOPICS = {topic.name: topic_named(topic.name) for topic in HANDLERS}
CONVERSATIONS, CAMPAIGNS = examples(CONVERSATION_RECORDED.name), examples(CAMPAIGN_CHANGED.name)
EMBEDDED = examples(CAMPAIGN_EMBEDDED.name)
FORGOTTEN, SEARCHES = examples(USER_FORGOTTEN.name), examples(SEARCH_REQUESTED.name)
ENDS = examples(COMPLETION_FINISHED.name)
ALL = [*CAMPAIGNS, *EMBEDDED, *CONVERSATIONS, *ENDS, *SEARCHES, *FORGOTTEN]


def delivered(example: Example, offset: int = 0) -> Delivered[Event]:
    record = Record(example.topic, 0, offset, example.key, example.value, example.headers, 0)
    return decode(TOPICS, record)


class Recorder(Publisher):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[OutboxRow] = []

    async def send(self, rows: Any) -> None:
        self.sent += rows


class Consumer:
    """The service's real handlers over stores in memory."""

    def __init__(self) -> None:
        self.kit = Kit(fresh=timedelta())
        self.publisher = Recorder()
        more = {on_campaigns_embedded: {"tell": self.tell, "per_second": 1e6}}
        reactions = [
            Reaction(topic, partial(handler, parts=self.kit.parts, **more.get(handler, {})))
            for topic, handler in HANDLERS.items()
        ]
        self._apply = PublishingApply("embedding", reactions, self.publisher, self.kit.clock)

    async def tell(self, emits: Sequence[Emit]) -> None:
        await self.publisher.send(derive(emits, "embedding", self.kit.clock.now(), {}))

    async def feed(self, *fed: Example) -> None:
        await self._apply([delivered(example, at) for at, example in enumerate(fed)])

    async def spoken_before(self) -> None:
        """All conversations, a day before the campaigns."""
        self.kit.clock.advance(-86_400)
        await self.feed(*CONVERSATIONS)
        self.kit.clock.advance(86_400)

    def state(self) -> tuple[object, ...]:
        lake, index = self.kit.memory, self.kit.vectors
        states = {user: (each.version, each.mean.count) for user, each in lake.stored.items()}
        stored = (lake.messages, lake.graves, lake.answers, index.texts.keys())
        return (
            states,
            {user: point.version for user, point in index.users.items()},
            {key: replace(each, vector=None) for key, each in lake.known_campaigns.items()},
            *map(repr, stored),
        )

    def take(self) -> list[OutboxRow]:
        """What was sent since the last time; all of it valid."""
        rows, self.publisher.sent = self.publisher.sent, []
        for row in rows:
            schema = json.loads((SCHEMAS / f"{row.topic}.json").read_text(encoding="utf-8"))
            Draft202012Validator(schema).validate(json.loads(row.payload))
            topic = topic_named(row.topic)
            event = topic.event.model_validate_json(row.payload)
            assert row.key == topic.record_key(event, row.envelope.tenant_id)
            assert row.envelope.subject == topic.key_of(event)
            assert row.envelope.source == "embedding"
            assert row.topic in {each.name for each in SERVICE.publishes}
        return rows


def body(row: OutboxRow) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.payload)
    return found


@pytest.mark.parametrize("example", ALL, ids=str)
async def test_every_example_has_its_effect_once(example: Example) -> None:
    consumer = Consumer()
    await consumer.feed(example)
    after, sent = consumer.state(), consumer.take()
    await consumer.feed(example)
    assert consumer.state() == after
    again = consumer.take()
    assert [row.envelope.id for row in again] == [row.envelope.id for row in sent]
    assert [row.payload for row in again] == [row.payload for row in sent]


async def test_all_examples_at_once_and_again_one_by_one_have_one_result() -> None:
    consumer = Consumer()
    await consumer.feed(*CAMPAIGNS, *CONVERSATIONS, *ENDS)
    after = consumer.state()
    for example in [*CONVERSATIONS, *ENDS, *CAMPAIGNS]:
        await consumer.feed(example)
    assert consumer.state() == after


@pytest.mark.parametrize("example", [*CAMPAIGNS, *CONVERSATIONS, *ENDS], ids=str)
async def test_an_example_changes_something(example: Example) -> None:
    consumer = Consumer()
    before = consumer.state()
    await consumer.feed(example)
    ran = example.topic != COMPLETION_FINISHED.name or (
        example.body["origin"]["kind"] == "visibility" and example.body.get("text")
    )
    assert (consumer.state() != before) == bool(ran)


async def test_a_conversation_tells_where_its_user_stands() -> None:
    consumer = Consumer()
    await consumer.feed(*CAMPAIGNS)
    consumer.take()
    await consumer.feed(*CONVERSATIONS)
    rows = consumer.take()
    assert {row.topic for row in rows} == {USER_EMBEDDED.name}
    told = {(row.envelope.tenant_id, row.key): body(row) for row in rows}
    assert told.keys() == {
        ("tenant-kaffeehaus", "u-ada"),
        ("tenant-kaffeehaus", "u-ben"),
        ("tenant-bluebird", "u-ada"),
    }
    ada = told["tenant-kaffeehaus", "u-ada"]
    assert ada["messages"] == 2
    assert [each["user_id"] for each in ada["neighbours"]] == ["u-ben"]
    assert told["tenant-bluebird", "u-ada"]["neighbours"] == []
    causes = {row.envelope.causation_id: row.envelope.correlation_id for row in rows}
    assert causes.keys() <= {dict(each.headers)["ce_id"].decode() for each in CONVERSATIONS}


async def test_a_campaign_tells_its_vector_unless_it_is_deleted() -> None:
    consumer = Consumer()
    await consumer.feed(*CAMPAIGNS)
    rows = consumer.take()
    assert {row.topic for row in rows} == {CAMPAIGN_EMBEDDED.name}
    living = {each.key.decode() for each in CAMPAIGNS if not each.body.get("deleted")}
    assert {row.key for row in rows} == living
    for row in rows:
        assert float(np.linalg.norm(body(row)["vector"])) == pytest.approx(1.0, abs=1e-6)


async def test_a_campaign_tells_those_who_spoke_before_it_came() -> None:
    consumer = Consumer()
    await consumer.spoken_before()
    before = {(row.envelope.tenant_id, row.key): body(row) for row in consumer.take()}
    await consumer.feed(*CAMPAIGNS)
    consumer.take()
    await consumer.feed(*EMBEDDED)
    rows = consumer.take()
    assert {row.topic for row in rows} == {USER_EMBEDDED.name}
    for row in rows:
        user = (row.envelope.tenant_id, row.key)
        assert body(row)["version"] > before[user]["version"]
        assert body(row)["campaigns"]
        assert not before[user]["campaigns"]
    assert {row.envelope.causation_id for row in rows} <= {
        dict(each.headers)["ce_id"].decode() for each in EMBEDDED
    }


async def test_a_campaign_whose_meaning_is_as_before_tells_nobody() -> None:
    consumer = Consumer()
    await consumer.spoken_before()
    await consumer.feed(*CAMPAIGNS)
    consumer.take()
    for example in EMBEDDED:
        same = json.dumps({**example.body, "meaning_changed": False}).encode()
        await consumer.feed(replace(example, value=same))
    assert consumer.take() == []


async def test_nobody_is_told_while_a_process_may_not_know_of_the_campaign() -> None:
    consumer = Consumer()
    consumer.kit.catalogs.fresh = timedelta(seconds=5)
    await consumer.spoken_before()
    await consumer.feed(*CAMPAIGNS)
    consumer.take()
    (item, *_) = [delivered(each) for each in EMBEDDED]
    consumer.kit.clock.advance((item.envelope.time - consumer.kit.clock.now()).total_seconds() + 2)
    with pytest.raises(TooEarly) as early:
        await consumer.feed(EMBEDDED[0])
    assert early.value.retry_after == pytest.approx(3)
    assert consumer.take() == []
    consumer.kit.clock.advance(3)
    await consumer.feed(EMBEDDED[0])
    assert consumer.take()


async def test_a_clock_that_was_ahead_holds_nobody_up_for_longer() -> None:
    consumer = Consumer()
    consumer.kit.catalogs.fresh = timedelta(seconds=5)
    await consumer.spoken_before()
    await consumer.feed(*CAMPAIGNS)
    consumer.take()
    at = delivered(EMBEDDED[0]).envelope.time
    consumer.kit.clock.advance((at - consumer.kit.clock.now()).total_seconds() - 3 * 3600)
    for left in (5, 2):
        with pytest.raises(TooEarly) as early:
            await consumer.feed(EMBEDDED[0])
        assert early.value.retry_after == pytest.approx(left)
        consumer.kit.clock.advance(3)
    await consumer.feed(EMBEDDED[0])
    assert consumer.take()


async def test_an_older_state_of_a_campaign_tells_nothing() -> None:
    consumer = Consumer()
    example = next(each for each in CAMPAIGNS if not each.body.get("deleted"))
    older = json.dumps({**example.body, "changed_at": "2020-01-01T00:00:00Z"}).encode()
    await consumer.feed(example)
    consumer.take()
    await consumer.feed(replace(example, value=older))
    assert consumer.take() == []


async def test_a_search_is_answered_from_the_tenant_that_asks() -> None:
    consumer = Consumer()
    await consumer.feed(*CONVERSATIONS, *ENDS)
    consumer.take()
    await consumer.feed(*SEARCHES)
    answers = {body(row)["search_id"]: body(row) for row in consumer.take()}
    assert len(answers) == len(SEARCHES)
    espresso = next(each for each in SEARCHES if "espresso" in each.body["query"])
    found = answers[espresso.body["search_id"]]
    assert found["failure"] is None
    assert found["hits"][0]["text"] == "What does a small espresso machine cost?"
    assert "cancel my order" not in json.dumps(found)
    emoji = next(each for each in SEARCHES if each.body["query"] == "☕")
    assert answers[emoji.body["search_id"]]["hits"] == []
    assert "other words" in answers[emoji.body["search_id"]]["failure"]


async def test_who_is_forgotten_is_found_no_more() -> None:
    consumer = Consumer()
    await consumer.feed(*CONVERSATIONS, *FORGOTTEN)
    gone = {(dict(each.headers)["ce_tenantid"].decode(), each.key.decode()) for each in FORGOTTEN}
    assert gone
    left = {(user.tenant_id, user.user_id) for user in consumer.kit.memory.stored}
    assert left
    assert not left & gone
    assert not {(u.tenant_id, u.user_id) for u in consumer.kit.vectors.users} & gone


async def test_the_service_handles_what_it_subscribes_to() -> None:
    assert {topic.name for topic in HANDLERS} == {each.name for each in SERVICE.subscriptions}
    assert {USER_EMBEDDED, CAMPAIGN_EMBEDDED, SEARCH_ANSWERED} == set(SERVICE.publishes)
