"""What every backend of the run repository and reader promises."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from gateway.domain.models import FailureCount, Progress, RunState, StoredResponse
from services.gateway.tests.kits import ENDED, Kit, PostgresKit, RunOnKit, a_tenant, planned_run

pytestmark = pytest.mark.asyncio


async def test_a_new_run_waits_for_all_its_completions(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit)
    report = await stored.report()
    assert report.run == stored.run
    assert report.progress == Progress(waiting=4, answered=0, analyzed=0, failed=0)
    assert not report.simulated
    assert report.failures == ()
    assert [(item.name, item.model, item.answers) for item in report.counts] == [
        (brand.name, model, 0) for brand in stored.run.brands for model in stored.run.models
    ]


async def test_another_tenant_sees_no_run(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit)
    assert await kit.runs.run(await a_tenant(kit.keys), stored.run.run_id) is None


async def test_there_is_no_run_of_an_unknown_id(kit: Kit) -> None:
    assert await kit.runs.run(await a_tenant(kit.keys), uuid4()) is None


async def test_ends_and_analyses_are_counted_by_model(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit)
    one, two, three, four = stored.planned
    await stored.note(*map(stored.finished, (one, two, three)))
    assert (await stored.report()).progress == Progress(1, 3, 0, 0)
    await stored.note(
        stored.analyzed(one, 2, 1), stored.analyzed(two, 3), stored.analyzed(three, 0, 4)
    )
    report = await stored.report()
    assert report.progress == Progress(waiting=1, answered=0, analyzed=3, failed=0)
    assert [(item.answers, item.named_in, item.mentions) for item in report.counts] == [
        (2, 2, 5),  # the first brand in the first model's answers
        (1, 0, 0),
        (2, 1, 1),
        (1, 1, 4),
    ]
    assert report.run.state is RunState.RUNNING
    await stored.note(stored.finished(four), stored.analyzed(four))
    assert (await stored.report()).run.state is RunState.COMPLETED


async def test_the_last_completion_gives_the_run_its_final_state(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit, samples=1)
    first, last = stored.planned
    await stored.note(stored.finished(first), stored.finished(last))
    await stored.note(stored.analyzed(first))
    assert (await stored.report()).run.finished_at is None
    await stored.note(stored.analyzed(last), now=ENDED)
    run = (await stored.report()).run
    assert (run.state, run.finished_at) == (RunState.COMPLETED, ENDED)


async def test_a_final_state_keeps_its_time(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit, samples=1)
    events = [stored.finished(item) for item in stored.planned]
    answers = [stored.analyzed(item, 1) for item in stored.planned]
    await stored.note(*events, *answers, now=ENDED)
    before = await stored.report()
    await stored.note(*events, *answers, now=ENDED + timedelta(hours=1))
    assert await stored.report() == before
    assert before.run.finished_at == ENDED


async def test_failures_are_counted_by_kind_and_in_no_denominator(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit)
    one, two, three, four = stored.planned
    await stored.note(
        stored.finished(one, "timed-out"),
        stored.finished(two),
        stored.finished(three, "auth"),
        stored.finished(four, "auth"),
    )
    await stored.note(stored.analyzed(two, 1))
    report = await stored.report()
    assert report.progress == Progress(waiting=0, answered=0, analyzed=1, failed=3)
    first, second = stored.run.models
    assert report.failures == (
        FailureCount(first, "timed-out", 1, "it said timed-out"),
        FailureCount(second, "auth", 2, "it said auth"),
    )
    assert [item.answers for item in report.counts] == [1, 0, 1, 0]
    assert report.run.state is RunState.COMPLETED_WITH_ERRORS


async def test_a_run_of_failures_has_failed(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit)
    await stored.note(*(stored.finished(item, "auth") for item in stored.planned))
    assert (await stored.report()).run.state is RunState.FAILED


async def test_an_analysis_may_come_before_the_end(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit, samples=1)
    first, last = stored.planned
    await stored.note(stored.analyzed(first, 1), stored.analyzed(last, 0, 2))
    early = await stored.report()
    assert early.progress == Progress(waiting=0, answered=0, analyzed=2, failed=0)
    await stored.note(stored.finished(first), stored.finished(last))
    assert await stored.report() == early


async def test_an_early_analysis_says_that_the_answer_was_simulated(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit, samples=1, models=["simulator/sim-large"])
    (only,) = stored.planned
    await stored.note(stored.analyzed(only, 1, simulated=True))
    report = await stored.report()
    assert report.run.state is RunState.COMPLETED
    assert report.simulated


async def test_one_simulated_answer_marks_the_run(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit)
    one, two, *_ = stored.planned
    await stored.note(stored.finished(one), stored.analyzed(one))
    assert not (await stored.report()).simulated
    await stored.note(stored.finished(two, simulated=True))
    assert (await stored.report()).simulated


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_with_repetitions_gives_the_same_report(kit: Kit, seed: int) -> None:
    stored = await RunOnKit.stored(kit, samples=3)
    ends: list[Any] = [
        stored.finished(item, "timed-out" if at == 4 else None, simulated=at == 2)
        for at, item in enumerate(stored.planned)
    ]
    answers: list[Any] = [
        stored.analyzed(item, at, 1, simulated=at == 2)
        for at, item in enumerate(stored.planned)
        if at != 4
    ]
    rng = random.Random(seed)
    events = [*ends, *answers, *rng.sample(ends + answers, 4)]
    rng.shuffle(events)
    while events:
        size = rng.randint(1, 4)
        await stored.note(*events[:size])
        events = events[size:]
    report = await stored.report()
    assert report.progress == Progress(waiting=0, answered=0, analyzed=5, failed=1)
    assert report.run.state is RunState.COMPLETED_WITH_ERRORS
    assert report.simulated
    assert [(item.answers, item.named_in, item.mentions) for item in report.counts] == [
        (3, 2, 3),
        (2, 2, 8),
        (3, 3, 3),
        (2, 2, 2),
    ]


async def test_an_event_twice_in_a_batch_counts_once(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit, samples=1)
    first, _ = stored.planned
    event, answer = stored.finished(first), stored.analyzed(first, 2, 1)
    await stored.note(event, event, answer, answer)
    report = await stored.report()
    assert report.progress == Progress(waiting=1, answered=0, analyzed=1, failed=0)
    assert [item.mentions for item in report.counts] == [2, 0, 1, 0]


async def test_another_analysis_takes_the_place_of_the_first(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit, samples=1)
    first, _ = stored.planned
    await stored.note(stored.analyzed(first, 2, 1))
    await stored.note(stored.analyzed(first, 5))
    assert [item.mentions for item in (await stored.report()).counts] == [5, 0, 0, 0]
    await stored.note(stored.analyzed(first, 1, 1), stored.analyzed(first, 0, 7))
    assert [item.mentions for item in (await stored.report()).counts] == [0, 0, 7, 0]


async def test_events_of_another_tenant_change_nothing(kit: Kit) -> None:
    stored, tenant_id = await RunOnKit.stored(kit), await a_tenant(kit.keys)
    before = await stored.report()
    await stored.note(
        *(replace(stored.finished(item), tenant_id=tenant_id) for item in stored.planned),
        *(replace(stored.analyzed(item, 1, 1), tenant_id=tenant_id) for item in stored.planned),
    )
    assert await stored.report() == before


async def test_events_that_name_another_run_change_neither(kit: Kit) -> None:
    stored, other = await RunOnKit.stored(kit), await RunOnKit.stored(kit)
    before = await stored.report(), await other.report()
    run_id, tenant_id = other.run.run_id, other.run.tenant_id
    await other.note(
        replace(stored.finished(stored.planned[0]), run_id=run_id, tenant_id=tenant_id),
        replace(stored.analyzed(stored.planned[0], 1), run_id=run_id, tenant_id=tenant_id),
    )
    assert (await stored.report(), await other.report()) == before


async def test_events_of_unknown_runs_are_left_alone(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit)
    before = await stored.report()
    await stored.note(
        replace(stored.finished(stored.planned[0]), run_id=uuid4()),
        replace(stored.analyzed(stored.planned[0], 1), run_id=uuid4()),
    )
    assert await stored.report() == before


async def test_nothing_to_note_is_no_error(kit: Kit) -> None:
    stored = await RunOnKit.stored(kit)
    before = await stored.report()
    await stored.note()
    assert await stored.report() == before


async def test_an_answer_is_remembered_per_tenant_and_key(kit: Kit) -> None:
    mine, theirs = await a_tenant(kit.keys), await a_tenant(kit.keys)
    response = StoredResponse("hash", 202, '{"run_id": "…"}')
    async with kit.store.transaction() as transaction:
        repository = kit.bind(transaction)
        assert await repository.remembered(mine, "key") is None
        await repository.remember(mine, "key", response)
    async with kit.store.transaction() as transaction:
        repository = kit.bind(transaction)
        assert await repository.remembered(mine, "key") == response
        assert await repository.remembered(mine, "other") is None
        assert await repository.remembered(theirs, "key") is None


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_transactions_at_once_one_closes_the_run(
    postgres_kit: PostgresKit, first: int
) -> None:
    stored = await RunOnKit.stored(postgres_kit, samples=1)
    both, looked = asyncio.Barrier(2), asyncio.Event()

    async def end(index: int) -> None:
        async with postgres_kit.store.transaction() as transaction:
            repository = postgres_kit.bind(transaction)
            await repository.note_analyzed([stored.analyzed(stored.planned[index], 1)])
            await both.wait()  # neither sees what the other has just written
            if index != first:
                await looked.wait()
            await repository.close_runs([stored.run.run_id], ENDED + timedelta(seconds=index))
            looked.set()
            await asyncio.sleep(0.05)  # the second looks before the first has committed

    await asyncio.gather(end(0), end(1))
    run = (await stored.report()).run
    assert run.state is RunState.COMPLETED
    assert run.finished_at == ENDED + timedelta(seconds=1 - first)


async def test_a_key_in_use_makes_its_second_user_wait(postgres_kit: PostgresKit) -> None:
    tenant_id = await a_tenant(postgres_kit.keys)
    held, response = asyncio.Event(), StoredResponse("hash", 202, "{}")

    async def first() -> None:
        async with postgres_kit.store.transaction() as transaction:
            repository = postgres_kit.bind(transaction)
            assert await repository.remembered(tenant_id, "key") is None
            held.set()
            await asyncio.sleep(0.1)
            await repository.remember(tenant_id, "key", response)

    async def second() -> StoredResponse | None:
        await held.wait()
        async with postgres_kit.store.transaction() as transaction:
            return await postgres_kit.bind(transaction).remembered(tenant_id, "key")

    _, found = await asyncio.gather(first(), second())
    assert found == response


async def test_a_failed_transaction_leaves_no_run(postgres_kit: PostgresKit) -> None:
    run = planned_run(await a_tenant(postgres_kit.keys))

    async def fail_after_adding() -> None:
        async with postgres_kit.store.transaction() as transaction:
            await postgres_kit.bind(transaction).add_run(run, [])
            raise RuntimeError("something fails later")

    with pytest.raises(RuntimeError, match="later"):
        await fail_after_adding()
    assert await postgres_kit.runs.run(run.tenant_id, run.run_id) is None
