"""The gateway takes every golden example of its topics, twice, and emits what its topics say."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from bus.apply import Subscription, TransactionalApply
from bus.codec import Delivered, decode
from bus.record import Record
from bus.stores.memory import MemoryStore, MemoryTransaction
from contracts.envelope import from_headers
from contracts.events.base import Event
from contracts.events.completion import VISIBILITY, CompletionFinished
from contracts.events.visibility import AnswerAnalyzed
from contracts.examples import Example, examples
from contracts.paths import SCHEMAS
from contracts.topics import ANSWER_ANALYZED, COMPLETION_FINISHED, topic_named
from gateway.adapters.memory import MemoryRuns
from gateway.domain.models import Brand, PlannedCompletion, Prompt, Report, Run, RunState
from gateway.handlers import on_answers_analyzed, on_completions_finished
from jsonschema import Draft202012Validator
from runtime.clock import SystemClock
from services.gateway.tests.calling_api import Api
from services.gateway.tests.kits import MemoryKit

pytestmark = pytest.mark.asyncio
ENDS = tuple(
    example
    for example in examples(COMPLETION_FINISHED.name)
    if example.body["origin"]["kind"] == VISIBILITY
)
OTHERS = tuple(each for each in examples(COMPLETION_FINISHED.name) if each not in ENDS)
FED = (*ENDS, *examples(ANSWER_ANALYZED.name))
TOPICS = {topic.name: topic_named(topic.name) for topic in (COMPLETION_FINISHED, ANSWER_ANALYZED)}


def delivered(example: Example, offset: int = 0) -> Delivered[Event]:
    record = Record(example.topic, 0, offset, example.key, example.value, example.headers, 0)
    return decode(TOPICS, record)


@dataclass
class Consumer:
    """The gateway's real handlers over its stores in memory, which know the examples' runs."""

    store: MemoryStore
    runs: MemoryRuns
    apply: TransactionalApply[MemoryTransaction, MemoryRuns]

    @classmethod
    async def ready(cls) -> Consumer:
        store, runs = MemoryStore(), MemoryRuns()
        for run in known_runs():
            await runs.add_run(run, planned(run))
        subscriptions: list[Subscription[Any, MemoryRuns]] = [
            Subscription(COMPLETION_FINISHED, on_completions_finished),
            Subscription(ANSWER_ANALYZED, on_answers_analyzed),
        ]
        apply = TransactionalApply("gateway", store, lambda _: runs, subscriptions, SystemClock())
        return cls(store, runs, apply)

    async def reports(self) -> list[Report | None]:
        return [await self.runs.run(run.tenant_id, run.run_id) for run in known_runs()]


def ends() -> list[tuple[CompletionFinished, str]]:
    return [
        (CompletionFinished.model_validate_json(each.value), from_headers(each.headers).tenant_id)
        for each in ENDS
    ]


def known_runs() -> list[Run]:
    tenants = {end.origin.parent_id: tenant_id for end, tenant_id in ends()}
    return [
        Run(run_id, tenant_id, brands(), prompts(), models(), 1, 6, RunState.RUNNING, NOW)
        for run_id, tenant_id in sorted(tenants.items())
    ]


NOW = datetime(2026, 11, 3, tzinfo=UTC)


def brands() -> tuple[Brand, ...]:
    found: set[UUID] = set()
    for each in examples(ANSWER_ANALYZED.name):
        answer = AnswerAnalyzed.model_validate_json(each.value)
        found |= {mention.brand_id for mention in answer.mentions}
    return tuple(Brand(brand_id, str(brand_id)) for brand_id in sorted(found))


def prompts() -> tuple[Prompt, ...]:
    return tuple(Prompt(item, str(item)) for item in {end.origin.item_id for end, _ in ends()})


def models() -> tuple[str, ...]:
    return tuple(sorted({end.model for end, _ in ends()}))


def planned(run: Run) -> list[PlannedCompletion]:
    return [
        PlannedCompletion(
            end.completion_id,
            Prompt(end.origin.item_id, ""),
            end.model,
            end.origin.sample,
            0,
        )
        for end, _ in ends()
        if end.origin.parent_id == run.run_id
    ]


@pytest.mark.parametrize("example", FED, ids=str)
async def test_every_example_has_its_effect_once(example: Example) -> None:
    consumer = await Consumer.ready()
    before = await consumer.reports()
    await consumer.apply([delivered(example)])
    after = await consumer.reports()
    assert after != before
    await consumer.apply([delivered(example, offset=1)])
    assert await consumer.reports() == after
    assert len(consumer.store.inbox) == 1


async def test_an_example_twice_in_one_batch_has_its_effect_once() -> None:
    once, twice = await Consumer.ready(), await Consumer.ready()
    batch = [delivered(example) for example in FED]
    await once.apply(batch)
    await twice.apply(batch + [delivered(example, offset=1) for example in FED])
    kept = [report for report in await once.reports() if report is not None]
    again = [report for report in await twice.reports() if report is not None]
    assert [report.progress for report in again] == [report.progress for report in kept]
    assert [report.counts for report in again] == [report.counts for report in kept]


async def test_the_examples_together_are_runs_that_ended() -> None:
    consumer = await Consumer.ready()
    await consumer.apply([delivered(example) for example in FED])
    reports = [report for report in await consumer.reports() if report is not None]
    assert len(reports) == len(known_runs())
    failed = sum(end.failure is not None for end, _ in ends())
    assert sum(report.progress.failed for report in reports) == failed
    assert sum(report.progress.analyzed for report in reports) == len(ends()) - failed
    assert all(report.run.state is not RunState.RUNNING for report in reports)
    assert any(report.simulated for report in reports)
    assert sum(count.mentions for report in reports for count in report.counts) == sum(
        len(each.body["mentions"]) for each in examples(ANSWER_ANALYZED.name)
    )


async def test_completions_of_other_jobs_are_left_alone() -> None:
    consumer = await Consumer.ready()
    before = await consumer.reports()
    await consumer.apply([delivered(example, offset=1) for example in OTHERS])
    for example in ENDS:
        body = example.body
        body["origin"]["kind"] = "question"
        await consumer.apply([delivered(replace(example, value=json.dumps(body).encode()))])
    assert await consumer.reports() == before
    assert len(consumer.store.inbox) == len(ends()) + len(OTHERS)
    assert OTHERS


async def test_the_gateway_emits_nothing_for_what_it_reads() -> None:
    consumer = await Consumer.ready()
    await consumer.apply([delivered(example) for example in FED])
    assert consumer.store.unpublished == []


async def test_what_a_command_emits_is_valid() -> None:
    api = await Api.over(MemoryKit())
    await api.start()
    rows = await api.kit.owed(api.tenant_id)
    assert {row.topic for row in rows} == {"visibility-run.started.v1", "completion.requested.v1"}
    for row in rows:
        schema = json.loads((SCHEMAS / f"{row.topic}.json").read_text(encoding="utf-8"))
        Draft202012Validator(schema).validate(json.loads(row.payload))
        topic = topic_named(row.topic)
        event = topic.event.model_validate_json(row.payload)
        assert row.key == row.envelope.subject == topic.key_of(event)
        assert row.envelope.source == "gateway"
