"""The analyzer takes every golden example of its topics, twice, and emits what its topic says."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from bus.apply import Subscription, TransactionalApply
from bus.codec import Delivered, decode
from bus.errors import Permanent
from bus.outbox import OutboxRow
from bus.record import Record
from bus.stores.memory import MemoryStore
from contracts.events.base import Event
from contracts.events.completion import VISIBILITY
from contracts.events.visibility import AnswerAnalyzed
from contracts.examples import Example, examples
from contracts.ids import captured_run_id, prompt_id
from contracts.paths import SCHEMAS
from contracts.topics import (
    ANSWER_ANALYZED,
    ANSWER_CAPTURED,
    COMPLETION_FINISHED,
    REANALYSIS_REQUESTED,
    VISIBILITY_RUN_STARTED,
    topic_named,
)
from jsonschema import Draft202012Validator
from mention_analyzer.adapters.memory import MemoryAnalysisRepository
from mention_analyzer.handlers import (
    on_answers_captured,
    on_completions_finished,
    on_reanalyses_requested,
    on_visibility_runs_started,
)
from runtime.clock import SystemClock

pytestmark = pytest.mark.asyncio
STARTS = examples(VISIBILITY_RUN_STARTED.name)
ALL_ENDS = examples(COMPLETION_FINISHED.name)
ENDS = [each for each in ALL_ENDS if each.body["origin"]["kind"] == VISIBILITY]
CAPTURED = examples(ANSWER_CAPTURED.name)
AGAIN = examples(REANALYSIS_REQUESTED.name)
ANSWERED = [example for example in ENDS if example.body["outcome"] == "answered"]
TOPICS = {
    topic.name: topic_named(topic.name)
    for topic in (
        VISIBILITY_RUN_STARTED,
        REANALYSIS_REQUESTED,
        COMPLETION_FINISHED,
        ANSWER_CAPTURED,
    )
}
SCHEMA = json.loads((SCHEMAS / f"{ANSWER_ANALYZED.name}.json").read_text(encoding="utf-8"))


def delivered(example: Example, offset: int = 0) -> Delivered[Event]:
    record = Record(example.topic, 0, offset, example.key, example.value, example.headers, 0)
    return decode(TOPICS, record)


class Consumer:
    """The analyzer's real handlers over its store in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.repository = MemoryAnalysisRepository()
        subscriptions: list[Subscription[Any, MemoryAnalysisRepository]] = [
            Subscription(VISIBILITY_RUN_STARTED, on_visibility_runs_started),
            Subscription(REANALYSIS_REQUESTED, on_reanalyses_requested),
            Subscription(COMPLETION_FINISHED, on_completions_finished),
            Subscription(ANSWER_CAPTURED, on_answers_captured),
        ]
        self._apply = TransactionalApply(
            "mention-analyzer",
            self.store,
            lambda _: self.repository,
            subscriptions,
            SystemClock(),
        )

    async def feed(self, *fed: Example) -> None:
        await self._apply([delivered(example, at) for at, example in enumerate(fed)])

    def state(self) -> tuple[object, ...]:
        repository = self.repository
        stored = repository.brand_sets, repository.answers, repository.analyses
        rows = [(row.envelope.id, row.key) for row in self.store.unpublished]
        return *(dict(each) for each in stored), rows, len(self.store.inbox)

    def emitted(self) -> dict[str, AnswerAnalyzed]:
        return {row.key: valid(row) for row in self.store.unpublished}


def valid(row: OutboxRow) -> AnswerAnalyzed:
    Draft202012Validator(SCHEMA).validate(json.loads(row.payload))
    event = AnswerAnalyzed.model_validate_json(row.payload)
    assert row.topic == ANSWER_ANALYZED.name
    assert row.key == row.envelope.subject == str(event.completion_id)
    assert row.envelope.source == "mention-analyzer"
    return event


def places(event: AnswerAnalyzed) -> list[tuple[object, ...]]:
    return [(each.brand_id, each.start, each.end, each.text) for each in event.mentions]


@pytest.mark.parametrize("example", [*STARTS, *ENDS, *CAPTURED, *AGAIN], ids=str)
async def test_every_example_has_its_effect_once(example: Example) -> None:
    consumer = Consumer()
    before = consumer.state()
    await consumer.feed(example)
    after = consumer.state()
    assert after != before
    await consumer.feed(example)
    assert consumer.state() == after


@pytest.mark.parametrize("order", [[*STARTS, *ENDS], [*ENDS, *STARTS]], ids=["brands", "answers"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_every_answer_is_analyzed_once_whatever_comes_first(
    order: list[Example], at_once: bool
) -> None:
    consumer = Consumer()
    for batch in [[*order, *order]] if at_once else [[each] for each in (*order, *order)]:
        await consumer.feed(*batch)
    keys = [row.key for row in consumer.store.unpublished]
    assert sorted(keys) == sorted(example.key.decode() for example in ANSWERED)


async def test_what_is_found_is_what_the_examples_say() -> None:
    consumer = Consumer()
    await consumer.feed(*STARTS, *ENDS)
    emitted, compared = consumer.emitted(), 0
    for example in examples(ANSWER_ANALYZED.name):
        golden = AnswerAnalyzed.model_validate_json(example.value)
        event = emitted[str(golden.completion_id)]
        assert places(event) == places(golden)
        assert (event.run_id, event.prompt_id) == (golden.run_id, golden.prompt_id)
        assert (event.model, event.sample) == (golden.model, golden.sample)
        assert event.simulated == golden.simulated
        compared += 1
    assert compared == len(emitted)


@pytest.mark.parametrize("brands_first", [True, False])
async def test_an_analysis_follows_from_what_made_it_possible(brands_first: bool) -> None:
    consumer, fed = Consumer(), [*STARTS, *ENDS] if brands_first else [*ENDS, *STARTS]
    await consumer.feed(*fed)
    ends = {delivered(each).envelope.id for each in ENDS}
    starts = {delivered(each).envelope.id for each in STARTS}
    causes = {row.envelope.causation_id for row in consumer.store.unpublished}
    assert causes <= (ends if brands_first else starts)
    assert causes


async def test_failed_calls_are_left_alone() -> None:
    consumer = Consumer()
    failed = [example for example in ALL_ENDS if example.body["outcome"] != "answered"]
    assert {example.body["outcome"] for example in failed} == {"failed", "not_run"}
    await consumer.feed(*STARTS, *failed)
    assert consumer.repository.answers == {}
    assert consumer.store.unpublished == []


async def test_answers_of_other_jobs_are_left_alone() -> None:
    consumer = Consumer()
    await consumer.feed(*STARTS)
    for example in ANSWERED:
        body = example.body
        body["origin"]["kind"] = "question"
        await consumer.feed(dataclasses.replace(example, value=json.dumps(body).encode()))
    assert consumer.repository.answers == {}
    assert consumer.store.unpublished == []


async def test_another_tenants_answer_does_not_meet_the_brands() -> None:
    consumer = Consumer()
    await consumer.feed(*STARTS)
    for example in ANSWERED:
        headers = tuple(
            (name, b"another" if name == "ce_tenantid" else value)
            for name, value in example.headers
        )
        await consumer.feed(dataclasses.replace(example, headers=headers))
    assert consumer.repository.analyses == {}
    assert consumer.store.unpublished == []


async def test_an_answer_with_a_nul_is_analyzed() -> None:
    consumer, example = Consumer(), ANSWERED[0]
    body = example.body | {"text": "a\x00b"}
    await consumer.feed(*STARTS)
    await consumer.feed(dataclasses.replace(example, value=json.dumps(body).encode()))
    assert [answer.text for answer in consumer.repository.answers.values()] == ["a\ufffdb"]
    assert len(consumer.emitted()) == 1


async def test_a_brand_that_cannot_be_looked_for_is_permanent() -> None:
    consumer, start = Consumer(), STARTS[0]
    body = start.body
    body["brands"][0]["name"] = "!!!"
    (answer, *_) = [
        example for example in ANSWERED if example.body["origin"]["parent_id"] == body["run_id"]
    ] or [_moved(ANSWERED[0], body["run_id"], start)]
    await consumer.feed(dataclasses.replace(start, value=json.dumps(body).encode()))
    with pytest.raises(Permanent, match="no letter or digit"):
        await consumer.feed(answer)


async def test_other_brands_are_looked_for_in_the_answers_that_are_there() -> None:
    consumer = Consumer()
    await consumer.feed(*STARTS, *ENDS)
    first = len(consumer.store.unpublished)
    (again,) = [each for each in AGAIN if each.body["brands"]]
    await consumer.feed(again)
    run_id = again.body["run_id"]
    answers = [one for one in ANSWERED if one.body["origin"]["parent_id"] == run_id]
    events = [valid(row) for row in consumer.store.unpublished[first:]]
    assert {event.revision for event in events} == {2}
    assert {str(event.completion_id) for event in events} == {one.key.decode() for one in answers}
    assert all(row.envelope.causation_id for row in consumer.store.unpublished[first:])
    old = [one for one in consumer.repository.analyses.values() if one.revision == 1]
    assert len(old) == len(ANSWERED)


async def test_answers_after_a_reanalysis_are_analysed_with_its_brands() -> None:
    consumer = Consumer()
    (again,) = [each for each in AGAIN if each.body["brands"]]
    await consumer.feed(*STARTS)
    await consumer.feed(again)
    await consumer.feed(*ENDS)
    run_id = UUID(again.body["run_id"])
    revisions = {event.revision for event in consumer.emitted().values() if event.run_id == run_id}
    assert revisions == {2}


async def test_no_brands_are_brands_too() -> None:
    consumer = Consumer()
    await consumer.feed(*STARTS, *ENDS)
    (empty,) = [each for each in AGAIN if not each.body["brands"]]
    await consumer.feed(empty)
    events = [valid(row) for row in consumer.store.unpublished if valid(row).revision == 3]
    assert events
    assert all(event.mentions == () and event.findings == () for event in events)


async def test_a_captured_answer_waits_for_the_brands_of_its_import() -> None:
    consumer = Consumer()
    (captured,) = [each for each in CAPTURED if each.body.get("run_id")]
    await consumer.feed(captured)
    assert consumer.store.unpublished == []
    start = STARTS[0]
    body = start.body | {"run_id": captured.body["run_id"], "expected_completions": 0}
    body["brands"] = [
        {"brand_id": str(UUID(int=7)), "name": "Northwind Roasters", "own": True,
         "domains": ["northwind-roasters.example"]}
    ]  # fmt: skip
    await consumer.feed(_as_run(start, body, dict(captured.headers)["ce_tenantid"]))
    (event,) = consumer.emitted().values()
    assert (event.model, event.sample) == ("ChatGPT", 0)
    assert [mention.text for mention in event.mentions if mention.outcome != "link-only"] == [
        "Northwind Roasters"
    ]
    assert {page.owner for page in event.citations} == {"own", "third-party"}


async def test_an_answer_without_an_import_joins_the_collection_of_its_month() -> None:
    consumer = Consumer()
    (captured,) = [each for each in CAPTURED if not each.body.get("run_id")]
    await consumer.feed(captured)
    (stored,) = consumer.repository.answers.values()
    at = datetime.fromisoformat(captured.body["captured_at"])
    assert stored.run_id == captured_run_id(stored.tenant_id, at)
    assert stored.prompt_id == prompt_id(stored.tenant_id, captured.body["prompt"])


def _as_run(start: Example, body: dict[str, Any], tenant: bytes) -> Example:
    """``start`` with another body, whose run is then the record's key and subject."""
    changed = {"ce_tenantid": tenant, "ce_subject": body["run_id"].encode()}
    headers = tuple((name, changed.get(name, value)) for name, value in start.headers)
    return dataclasses.replace(
        start, key=body["run_id"].encode(), value=json.dumps(body).encode(), headers=headers
    )


def _moved(example: Example, run_id: str, start: Example) -> Example:
    """``example`` as an answer of another run, in that run's tenant."""
    body = example.body
    body["origin"]["parent_id"] = run_id
    tenant = dict(start.headers)["ce_tenantid"]
    headers = tuple(
        (name, tenant if name == "ce_tenantid" else value) for name, value in example.headers
    )
    return dataclasses.replace(example, value=json.dumps(body).encode(), headers=headers)
