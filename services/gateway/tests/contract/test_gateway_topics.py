"""The gateway takes every golden example of its topics, twice, and emits what its topics say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from bus.codec import Delivered
from bus.record import Record
from contracts.envelope import from_headers
from contracts.events.base import Event
from contracts.events.completion import VISIBILITY, CompletionFinished
from contracts.events.visibility import AnswerAnalyzed, AnswerCaptured
from contracts.examples import Example, examples
from contracts.ids import captured_run_id
from contracts.paths import SCHEMAS
from contracts.topics import (
    ANSWER_ANALYZED,
    ANSWER_CAPTURED,
    COMPLETION_CHUNKED,
    COMPLETION_FINISHED,
    MODEL_CATALOG_CHANGED,
    SEARCH_REQUESTED,
    TOPICS,
    VISIBILITY_RUN_STARTED,
    topic_named,
)
from gateway.adapters.memory import ProcessLiveText
from gateway.app import SERVICE
from gateway.domain.access import Tier
from gateway.domain.models import Brand, PlannedCompletion, Prompt, Run, RunKind, RunState
from gateway.handlers import on_completions_chunked
from jsonschema import Draft202012Validator
from services.gateway.tests.calling_api import RUNS, Api
from services.gateway.tests.feeding import Feed, delivered
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
AT = datetime(2026, 11, 3, tzinfo=UTC)
TABLES = (
    "findings",
    "analyses",
    "early_analyses",
    "answers",
    "completions",
    "run_prompts",
    "revisions",
    "runs",
    "prompts",
    "model_catalogs",
    "run_events",
    "inbox",
    "outbox",
)
STATE = tuple(table for table in TABLES if table not in {"inbox", "outbox"})


def from_outside(example: Example) -> Example:
    """The same as a producer outside would tell it: the gateway's own are stored already."""
    headers = [(k, b"clipper" if k == "ce_source" else v) for k, v in example.headers]
    return replace(example, headers=tuple(headers), case=f"{example.case} from outside")


ENDS = tuple(
    example
    for example in examples(COMPLETION_FINISHED.name)
    if example.body["origin"]["kind"] == VISIBILITY
)
OTHERS = tuple(each for each in examples(COMPLETION_FINISHED.name) if each not in ENDS)
CAPTURED = tuple(map(from_outside, examples(ANSWER_CAPTURED.name)))
ANALYZED = examples(ANSWER_ANALYZED.name)
FED = (*ENDS, *ANALYZED, *CAPTURED, *examples(MODEL_CATALOG_CHANGED.name))


def told(example: Example, offset: int = 0) -> Delivered[Event]:
    return delivered(
        Record(example.topic, 0, offset, example.key, example.value, example.headers, 0)
    )


@dataclass
class Consumer:
    """The gateway's real handlers over its stores, which know the examples' runs."""

    kit: Kit

    async def apply(self, *batch: Delivered[Event]) -> None:
        await Feed(self.kit).apply(batch)

    async def state(self, *tables: str) -> dict[str, list[Any]]:
        """All rows. When analyses were received, or runs counted up, is not what they say."""
        found = {}
        for table in tables or STATE:
            rows = await self.kit.pool.fetch(f"SELECT to_jsonb(t) AS row FROM {table} AS t")
            kept = [json.loads(row["row"]) for row in rows]
            found[table] = sorted(
                (
                    {k: v for k, v in row.items() if k not in {"received_at", "created_at"}}
                    for row in kept
                ),
                key=json.dumps,
            )
        return found

    async def count(self, table: str) -> int:
        return int(await self.kit.pool.fetchval(f"SELECT count(*) FROM {table}"))


@pytest_asyncio.fixture
async def consumer(kit: Kit) -> Consumer:
    await kit.pool.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
    async with kit.store.transaction() as transaction:
        repository = kit.bind(transaction)
        for run in known_runs():
            await kit.users.ensure_tenant(run.tenant_id, Tier.FREE)
            await repository.add_run(run, planned(run))
    return Consumer(kit)


def tenant_of(example: Example) -> str:
    return from_headers(example.headers).tenant_id


def ends() -> list[tuple[CompletionFinished, str]]:
    return [(CompletionFinished.model_validate_json(each.value), tenant_of(each)) for each in ENDS]


def known_runs() -> list[Run]:
    """Those that the examples ask for, and the import that one of them names."""
    tenants = {end.origin.parent_id: tenant_id for end, tenant_id in ends()}
    named = {
        UUID(each.body["run_id"]): tenant_of(each) for each in CAPTURED if "run_id" in each.body
    }
    return [
        Run(
            run_id,
            tenant_id,
            brands(),
            () if run_id in named else prompts(),
            () if run_id in named else models(),
            1,
            0 if run_id in named else len(ENDS),
            RunState.RUNNING,
            AT,
            kind=RunKind.IMPORTED if run_id in named else RunKind.ASKED,
        )
        for run_id, tenant_id in sorted((tenants | named).items())
    ]


def brands() -> tuple[Brand, ...]:
    found: set[UUID] = set()
    for each in ANALYZED:
        answer = AnswerAnalyzed.model_validate_json(each.value)
        found |= {finding.brand_id for finding in answer.findings}
    return tuple(Brand(brand_id, str(brand_id)) for brand_id in sorted(found))


def prompts() -> tuple[Prompt, ...]:
    ids = sorted({end.origin.item_id for end, _ in ends()})
    return tuple(Prompt(item, str(item)) for item in ids)


def models() -> tuple[str, ...]:
    return tuple(sorted({end.model for end, _ in ends()}))


def planned(run: Run) -> list[PlannedCompletion]:
    return [
        PlannedCompletion(
            end.completion_id, Prompt(end.origin.item_id, ""), end.model, end.origin.sample, 0
        )
        for end, _ in ends()
        if end.origin.parent_id == run.run_id
    ]


@pytest.mark.parametrize("example", FED, ids=str)
async def test_every_example_has_its_effect_once(consumer: Consumer, example: Example) -> None:
    before = await consumer.state()
    await consumer.apply(told(example))
    after = await consumer.state()
    assert after != before
    await consumer.apply(told(example, offset=1))
    assert await consumer.state() == after
    assert await consumer.count("inbox") == 1


async def test_examples_twice_in_one_batch_have_their_effect_once(consumer: Consumer) -> None:
    batch = [told(example) for example in FED]
    await consumer.apply(*batch, *(told(example, offset=1) for example in FED))
    after = await consumer.state()
    await consumer.apply(*batch)
    assert await consumer.state() == after
    assert await consumer.count("inbox") == len(FED)
    assert len(after["analyses"]) == len(ANALYZED)
    assert len(after["completions"]) == len(ENDS) + len(CAPTURED)


async def test_the_examples_together_are_runs_that_ended(consumer: Consumer) -> None:
    await consumer.apply(*map(told, FED))
    runs = {UUID(row["run_id"]): row for row in (await consumer.state("runs"))["runs"]}
    for end, tenant_id in ends():
        status = await consumer.kit.runs.status(tenant_id, end.origin.parent_id)
        assert status is not None
        assert status.run.state is not RunState.RUNNING
        assert runs[end.origin.parent_id]["finished_at"] is not None
    completions = (await consumer.state("completions"))["completions"]
    failed = sum(end.failure is not None for end, _ in ends())
    assert sum(row["failure_kind"] is not None for row in completions) == failed
    assert sum(row["analyzed"] for row in completions) == len(ends()) - failed
    assert any(row["simulated"] for row in completions)
    findings = (await consumer.state("findings"))["findings"]
    assert sum(row["mentions"] for row in findings) == sum(
        found["mentions"] for each in ANALYZED for found in each.body.get("findings", ())
    )


async def test_what_names_no_import_joins_the_collection_of_its_month(consumer: Consumer) -> None:
    (example,) = [each for each in CAPTURED if "run_id" not in each.body]
    await consumer.apply(told(example))
    event = AnswerCaptured.model_validate_json(example.value)
    run_id = captured_run_id(tenant_of(example), event.captured_at)
    status = await consumer.kit.runs.status(tenant_of(example), run_id)
    assert status is not None
    assert (status.run.kind, status.run.name) == (RunKind.IMPORTED, "captured 2026-11")
    (row,) = await consumer.kit.owed(tenant_of(example))
    assert (row.topic, row.key) == (VISIBILITY_RUN_STARTED.name, str(run_id))
    assert row.envelope.causation_id == from_headers(example.headers).id


async def test_completions_of_other_jobs_are_left_alone(consumer: Consumer) -> None:
    before = await consumer.state()
    await consumer.apply(*(told(example, offset=1) for example in OTHERS))
    for example in ENDS:
        body = example.body
        body["origin"]["kind"] = "question"
        await consumer.apply(told(replace(example, value=json.dumps(body).encode())))
    assert await consumer.state() == before
    assert await consumer.count("inbox") == len(ends()) + len(OTHERS)
    assert OTHERS


async def test_the_gateway_emits_nothing_for_what_it_asked_itself(consumer: Consumer) -> None:
    await consumer.apply(*map(told, (*ENDS, *ANALYZED, *examples(ANSWER_CAPTURED.name))))
    assert await consumer.count("outbox") == 0


def chunks(kind: str) -> list[Example]:
    """The examples as pieces of another kind of job."""
    found = []
    for example in examples(COMPLETION_CHUNKED.name):
        body = example.body
        body["origin"]["kind"] = kind
        found.append(replace(example, value=json.dumps(body, ensure_ascii=False).encode()))
    return found


@pytest.mark.parametrize("kind", [VISIBILITY, "question"])
async def test_chunks_of_runs_are_shown_to_those_who_watch(kind: str) -> None:
    live, given = ProcessLiveText(), chunks(kind)
    (run_id,) = {UUID(each.body["origin"]["parent_id"]) for each in given}
    batch: Sequence[Any] = [told(example) for example in given]
    async with (
        live.watch(tenant_of(given[0]), run_id) as mine,
        live.watch("another-tenant", run_id) as theirs,
    ):
        await on_completions_chunked(batch, live)
        pieces = [await mine.next(0.05) for _ in given]
        assert await theirs.next(0.01) is None
    shown = [piece.text for piece in pieces if piece is not None]
    assert shown == ([each.body["text"] for each in given] if kind == VISIBILITY else [])


async def test_the_service_reads_and_writes_what_the_topics_say() -> None:
    assert {topic.name for topic in SERVICE.subscriptions} == {
        topic.name for topic in TOPICS if "gateway" in topic.consumers
    }
    assert {topic.name for topic in SERVICE.publishes} == {
        topic.name for topic in TOPICS if "gateway" in topic.producers
    }


async def tell_of_users(api: Api) -> None:
    said = {"conversation_id": "c", "user_id": "u", "text": "梅"}
    done = {"user_id": "u", "campaign_id": "k", "kind": "click"}
    for method, path, body in (
        ("DELETE", "/v1/users/u", None),
        ("POST", "/v1/conversations", said),
        ("POST", "/v1/engagements", done),
        ("PUT", "/v1/campaigns/k", {"title": "T", "frequency_cap": {"impressions": 1, "hours": 1}}),
        ("DELETE", "/v1/campaigns/k", None),
    ):
        assert (await api.call(method, path, json=body)).is_success


async def test_what_commands_emit_is_valid(kit: Kit) -> None:
    api = await Api.over(kit)
    run = (await api.start()).json()["links"]["run"]
    await api.call("POST", f"{run}/cancel")
    await api.call("POST", f"{run}/reanalyses", json={})
    captured = {"prompt": "Which?", "model": "ChatGPT", "text": "Notion", "captured_at": str(AT)}
    sent = await api.call(
        "POST",
        RUNS.replace("runs", "imports"),
        {"Content-Type": "application/x-ndjson"},
        content=json.dumps(captured),
    )
    assert sent.status_code == 202
    await tell_of_users(api)
    rows = await api.kit.unpublished(api.tenant_id)
    # A search is not kept for long enough to be owed.
    assert {row.topic for row in rows} == {
        topic.name for topic in SERVICE.publishes if topic is not SEARCH_REQUESTED
    }
    for row in rows:
        schema = json.loads((SCHEMAS / f"{row.topic}.json").read_text(encoding="utf-8"))
        Draft202012Validator(schema).validate(json.loads(row.payload))
        topic = topic_named(row.topic)
        event = topic.event.model_validate_json(row.payload)
        assert row.envelope.subject == topic.key_of(event)
        assert row.key == topic.record_key(event, api.tenant_id)
        assert row.envelope.source == "gateway"
