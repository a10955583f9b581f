"""What every backend of the analysis repository promises."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol
from uuid import UUID, uuid4

import pytest
from bus.stores.postgres import Pool, PostgresStore
from mention_analyzer.adapters.memory import MemoryAnalysisRepository
from mention_analyzer.adapters.postgres import PostgresAnalysisRepository
from mention_analyzer.domain.models import (
    Analysis,
    Answer,
    Brand,
    BrandSet,
    CaseRule,
    Mention,
    Source,
)
from mention_analyzer.domain.ports import AnalysisRepository, RunKey

pytestmark = pytest.mark.asyncio


class Kit(Protocol):
    """One set of data, and what a test wants to know of it."""

    def repository(self) -> AbstractAsyncContextManager[AnalysisRepository]:
        """The repository in a transaction of its own."""

    async def texts(self) -> dict[tuple[str, UUID], str]:
        """The stored answers."""

    async def found(self) -> dict[tuple[str, UUID, int, str], list[str]]:
        """The stored analyses: the texts of their mentions."""


class MemoryKit:
    def __init__(self) -> None:
        self._memory = MemoryAnalysisRepository()

    @asynccontextmanager
    async def repository(self) -> AsyncIterator[AnalysisRepository]:
        yield self._memory

    async def texts(self) -> dict[tuple[str, UUID], str]:
        return {key: answer.text for key, answer in self._memory.answers.items()}

    async def found(self) -> dict[tuple[str, UUID, int, str], list[str]]:
        return {
            key: [mention.text for mention in analysis.mentions]
            for key, analysis in self._memory.analyses.items()
        }


class PostgresKit:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._store = PostgresStore(pool)

    @asynccontextmanager
    async def repository(self) -> AsyncIterator[AnalysisRepository]:
        async with self._store.transaction() as transaction:
            yield PostgresAnalysisRepository(transaction)

    async def texts(self) -> dict[tuple[str, UUID], str]:
        rows = await self._pool.fetch("SELECT tenant_id, completion_id, text FROM answers")
        return {(tenant_id, completion_id): text for tenant_id, completion_id, text in rows}

    async def found(self) -> dict[tuple[str, UUID, int, str], list[str]]:
        rows = await self._pool.fetch(
            "SELECT tenant_id, completion_id, revision, analyzer_version, mentions FROM analyses"
        )
        return {tuple(row[:4]): [each["text"] for each in json.loads(row[4])] for row in rows}


@pytest.fixture(params=["memory", "postgres"])
def kit(request: pytest.FixtureRequest) -> Kit:
    return MemoryKit() if request.param == "memory" else postgres_kit(request)


def postgres_kit(request: pytest.FixtureRequest) -> PostgresKit:
    return PostgresKit(request.getfixturevalue("pool"))


@pytest.fixture
def run() -> RunKey:
    return ("tenant", uuid4())


def brand_set(run: RunKey, *names: str) -> BrandSet:
    brands = (
        Brand(
            uuid4(),
            name,
            (f"{name}!", "光"),
            ("notion.so",),
            ("Notion of",),
            own=True,
            case=CaseRule.EXACT,
        )
        for name in names
    )
    return BrandSet(*run, tuple(brands))


def answer(run: RunKey, text: str = "Notion 🫘") -> Answer:
    tenant_id, run_id = run
    return Answer(
        tenant_id,
        uuid4(),
        run_id,
        uuid4(),
        "openai/gpt-5",
        3,
        text,
        simulated=True,
        sources=(Source("https://notion.so/a", "Größe 🫘"),),
    )


def analysis(item: Answer, *texts: str, version: str = "1") -> Analysis:
    mentions = tuple(Mention(uuid4(), n, n + 1, text, "whole-word") for n, text in enumerate(texts))
    return Analysis(item, version, mentions)


async def test_brands_come_back_as_they_were(kit: Kit, run: RunKey) -> None:
    saved = brand_set(run, "Notion", "Größe 🫘")
    async with kit.repository() as repository:
        await repository.save_brand_set(saved)
    async with kit.repository() as repository:
        assert await repository.brands_of([run]) == {run: saved}


async def test_the_first_set_of_a_run_stays(kit: Kit, run: RunKey) -> None:
    first = brand_set(run, "Notion")
    async with kit.repository() as repository:
        await repository.save_brand_set(first)
        await repository.save_brand_set(brand_set(run, "Other"))
        assert await repository.brands_of([run]) == {run: first}


async def test_unknown_runs_are_left_out_and_repeated_ones_asked_once(
    kit: Kit, run: RunKey
) -> None:
    saved = brand_set(run, "Notion")
    async with kit.repository() as repository:
        await repository.save_brand_set(saved)
        runs = [run, ("tenant", uuid4()), run]
        assert await repository.brands_of(runs) == {run: saved}
        assert await repository.brands_of([]) == {}


async def test_another_tenant_knows_no_brands_of_the_same_run(kit: Kit, run: RunKey) -> None:
    async with kit.repository() as repository:
        await repository.save_brand_set(brand_set(run, "Notion"))
        assert await repository.brands_of([("another", run[1])]) == {}


async def test_parked_answers_are_taken_once_in_a_stable_order(kit: Kit, run: RunKey) -> None:
    answers = [answer(run, f"text {n}") for n in range(5)]
    async with kit.repository() as repository:
        await repository.add_answers(answers, parked=True)
    async with kit.repository() as repository:
        taken = await repository.unpark(run)
        assert await repository.unpark(run) == []
    assert list(taken) == sorted(answers, key=lambda item: item.completion_id)


async def test_what_is_not_parked_is_not_taken(kit: Kit, run: RunKey) -> None:
    async with kit.repository() as repository:
        await repository.add_answers([answer(run)], parked=False)
        await repository.add_answers([answer(("tenant", uuid4()))], parked=True)
        await repository.add_answers([answer(("another", run[1]))], parked=True)
        assert await repository.unpark(run) == []
    assert len(await kit.texts()) == 3


async def test_an_answer_is_never_changed(kit: Kit, run: RunKey) -> None:
    first = answer(run, "first")
    second = dataclasses.replace(first, text="second")
    async with kit.repository() as repository:
        await repository.add_answers([first], parked=False)
        await repository.add_answers([second], parked=True)
        assert await repository.unpark(run) == []
        await repository.add_answers([], parked=True)
    assert await kit.texts() == {("tenant", first.completion_id): "first"}


async def test_tenants_may_use_the_same_completion_id(kit: Kit, run: RunKey) -> None:
    mine = answer(run, "mine")
    theirs = dataclasses.replace(mine, tenant_id="another", text="theirs")
    async with kit.repository() as repository:
        await repository.add_answers([mine, theirs], parked=False)
        await repository.add_analyses([analysis(mine, "m"), analysis(theirs, "t")])
    assert set((await kit.texts()).values()) == {"mine", "theirs"}
    assert set(map(tuple, (await kit.found()).values())) == {("m",), ("t",)}


async def test_analyses_are_kept_per_version_and_the_first_stays(kit: Kit, run: RunKey) -> None:
    item = answer(run)
    async with kit.repository() as repository:
        await repository.add_answers([item], parked=False)
        await repository.add_analyses([analysis(item, "one", "🫘")])
        await repository.add_analyses([analysis(item, "again")])
        await repository.add_analyses([analysis(item, version="2")])
        await repository.add_analyses([])
    assert await kit.found() == {
        ("tenant", item.completion_id, 1, "1"): ["one", "🫘"],
        ("tenant", item.completion_id, 1, "2"): [],
    }


async def test_revisions_are_kept_apart(kit: Kit, run: RunKey) -> None:
    item = answer(run)
    async with kit.repository() as repository:
        await repository.add_answers([item], parked=False)
        await repository.add_analyses([analysis(item, "old")])
        await repository.add_analyses([dataclasses.replace(analysis(item, "new"), revision=2)])
    assert await kit.found() == {
        ("tenant", item.completion_id, 1, "1"): ["old"],
        ("tenant", item.completion_id, 2, "1"): ["new"],
    }


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
async def test_the_highest_revision_of_brands_holds(
    kit: Kit, run: RunKey, order: tuple[int, ...]
) -> None:
    sets = {n: dataclasses.replace(brand_set(run, f"Brand {n}"), revision=n) for n in order}
    async with kit.repository() as repository:
        current = [await repository.save_brand_set(sets[n]) for n in order]
    highest = [max(order[: at + 1]) for at in range(len(order))]
    assert current == [sets[n] for n in highest]
    async with kit.repository() as repository:
        assert await repository.brands_of([run]) == {run: sets[3]}


async def test_answers_of_a_run_come_in_slices(kit: Kit, run: RunKey) -> None:
    mine = sorted((answer(run, f"text {n}") for n in range(5)), key=lambda a: a.completion_id)
    async with kit.repository() as repository:
        await repository.add_answers(mine[::-1], parked=False)
        await repository.add_answers([answer(("another", run[1]))], parked=False)
        await repository.add_answers([answer(("tenant", uuid4()))], parked=True)
    async with kit.repository() as repository:
        first = list(await repository.answers_of(run, None, 3))
        second = list(await repository.answers_of(run, first[-1], 3))
        assert await repository.answers_of(run, second[-1], 3) == []
    assert first + second == mine


@pytest.mark.parametrize("parking_first", [True, False])
async def test_brands_and_answers_at_once_leave_nothing_parked(
    pool: Pool, run: RunKey, parking_first: bool
) -> None:
    """Whichever transaction comes first, one of the two sees what the other wrote."""
    kit, item, taken = PostgresKit(pool), answer(run), list[Answer]()
    looked = asyncio.Event()

    async def park() -> None:
        async with kit.repository() as repository:
            known = await repository.brands_of([run])
            looked.set()
            await asyncio.sleep(0.05)
            await repository.add_answers([item], parked=not known)
            if known:
                taken.append(item)

    async def start() -> None:
        if parking_first:
            await looked.wait()
        async with kit.repository() as repository:
            await repository.save_brand_set(brand_set(run, "Notion"))
            taken.extend(await repository.unpark(run))
            looked.set()
            await asyncio.sleep(0.05)

    if parking_first:
        await asyncio.gather(park(), start())
    else:
        await asyncio.gather(start(), _after(looked, park))
    assert taken == [item]


async def _after(event: asyncio.Event, then: object) -> None:
    await event.wait()
    assert callable(then)
    await then()


async def test_many_readers_of_the_same_runs_do_not_block_each_other(pool: Pool) -> None:
    kit, runs = PostgresKit(pool), [("tenant", uuid4()) for _ in range(20)]

    async def read(order: list[RunKey]) -> None:
        async with kit.repository() as repository:
            assert await repository.brands_of(order) == {}
            await asyncio.sleep(0.05)

    async with asyncio.timeout(60):
        await asyncio.gather(read(runs), read(runs[::-1]), read(runs))
