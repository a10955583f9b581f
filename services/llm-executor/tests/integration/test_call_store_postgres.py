"""What only PostgreSQL can get wrong: races, wake-ups, and statements that read everything."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from bus.stores.postgres import CHANNEL, Pool
from call_store_kit import (
    LANE,
    LONG,
    PARENT,
    PostgresKit,
    ask,
    end,
    keys,
    request,
    requests,
    take,
    taken,
)
from llm_executor.adapters import postgres_statements as sql
from llm_executor.adapters.postgres import PostgresCallStore
from llm_executor.domain.models import Claim, Grant, Room

pytestmark = pytest.mark.asyncio
MANY = 20_000


async def test_a_request_meets_its_cancellation_whoever_comes_first(pool: Pool) -> None:
    """It sees the cancellation or is seen by it: nothing of a cancelled parent is called."""
    holders = [PostgresCallStore(pool) for _ in range(4)]
    parents = [uuid4() for _ in range(40)]
    for parent in parents:
        batches = [requests(3, parent_id=parent) for _ in holders]
        accepting = [store.accept(batch) for store, batch in zip(holders, batches, strict=True)]
        cancelling = holders[0].cancel("tenant", [parent])
        await asyncio.gather(*accepting[:2], cancelling, *accepting[2:])
    missed = await pool.fetchval("SELECT count(*) FROM completions WHERE NOT cancelled")
    assert missed == 0
    assert await pool.fetchval("SELECT count(*) FROM completions") == 40 * 12


async def test_the_same_new_requests_may_come_to_several_at_once(pool: Pool) -> None:
    """In any order: a batch is put together anew wherever a partition goes."""
    holders, rng = [PostgresCallStore(pool) for _ in range(5)], random.Random(1)
    for _ in range(10):
        items = requests(60)
        batches = [rng.sample(items, len(items)) for _ in holders]
        await asyncio.gather(
            *(store.accept(batch) for store, batch in zip(holders, batches, strict=True))
        )
        assert set(await take(holders[0])) == set(keys(items))


async def test_the_only_process_ends_every_lease(pool: Pool) -> None:
    before, after = PostgresCallStore(pool), PostgresCallStore(pool)
    held, done = await taken(before, requests(2))
    await before.record([end(done)])
    waiting = request()
    await before.accept([waiting])
    assert await after.expire_all() == 1
    claimed = await after.claim(Room(LANE, 9, 9), LONG)
    assert [(item.key, item.claim) for item in claimed] == [
        (held, Claim.UNKNOWN),
        (waiting.key, Claim.FRESH),
    ]


async def test_an_owner_that_comes_back_has_its_claims(pool: Pool) -> None:
    owner = uuid4()
    held = await taken(PostgresCallStore(pool, owner), requests(1))
    await PostgresCallStore(pool).release(held, unknown=False)
    await PostgresCallStore(pool, owner).release(held, unknown=False)
    assert await take(PostgresCallStore(pool)) == held


async def test_only_a_stored_end_wakes_the_relay(pool: Pool, dsn: str) -> None:
    store, woken = PostgresCallStore(pool), asyncio.Queue[str]()
    held = await taken(store, requests(3))
    await store.record([end(held[0])])
    listener = await asyncpg.connect(dsn)
    try:
        await listener.add_listener(CHANNEL, lambda *args: woken.put_nowait(str(args[-1])))
        await store.record([end(held[0]), end(request().key)])
        await store.record([])
        await store.accept(requests(2))
        await store.release(held[2:], unknown=False)
        await listener.execute("SELECT 1")  # brings what was notified so far
        assert woken.empty()
        await store.record([end(held[0]), end(held[1])])
        async with asyncio.timeout(60):
            await woken.get()
        assert woken.empty()  # once for all of them
    finally:
        await listener.close()


async def test_what_the_ledger_says_is_what_was_recorded(pool: Pool) -> None:
    store = PostgresCallStore(pool)
    a, b, c = await taken(store, requests(3))
    await store.record(
        [
            end(a, model_called=LANE, cost_usd=ask(a, "0.1").usd, price_version="1"),
            end(b, model_called=LANE, cost_usd=ask(b, "0.2").usd, price_version="1"),
            end(c, outcome="cancelled"),
        ]
    )
    rows = await pool.fetch("SELECT * FROM ledger")
    assert [(row["completions"], row["priced"], row["cost_usd"]) for row in rows] == [
        (2, 2, ask(a, "0.3").usd)
    ]


# How much a statement reads, when much waits. Rows are counted, time is not: a plan is the same
# on a slow machine.


async def filled(pool: Pool, *, known: bool = True) -> None:
    """Much waits, of few tenants and in few lanes; some is held, much is finished.

    Unless it is ``known`` to the planner, that takes the queue for an empty one, as it was.
    """
    await pool.execute(
        "INSERT INTO completions (tenant_id, completion_id, lane, document, finished_at) SELECT "
        "'tenant-' || n % 5, gen_random_uuid(), 'lane-' || n % 3, '{}', now() "
        "FROM generate_series(1, $1) AS n",
        MANY,
    )
    await pool.execute("VACUUM ANALYZE completions")
    await pool.execute(
        "INSERT INTO completions (tenant_id, completion_id, lane, parent_id, priority, "
        "deadline_at, request_headers, request_body, owner, lease_until, document, finished_at, "
        "cache_key, outcome) "
        "SELECT 'tenant-' || n % 5, gen_random_uuid(), 'lane-' || n % 3, $2::uuid, "
        "(n % 10 > 0)::int, now() + interval '1 hour', '[]', '', "
        "CASE WHEN n % 100 = 1 THEN $2::uuid END, "
        "CASE WHEN n % 100 = 1 THEN now() + interval '1 hour' END, "
        "CASE WHEN n % 4 = 0 THEN '{}'::jsonb END, CASE WHEN n % 4 = 0 THEN now() END, "
        "'key-' || n % 1000, 'answered' "
        "FROM generate_series(1, $1) AS n",
        MANY,
        PARENT,
    )
    if known:
        await pool.execute("VACUUM ANALYZE completions")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


async def most_read(pool: Pool, statement: str, *arguments: object) -> int:
    """The most rows that one table or index scan of the statement reads, used or not."""
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        text = await connection.fetchval(
            "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + statement, *arguments
        )
        await transaction.rollback()
    scans = [
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for node in nodes(json.loads(text)[0]["Plan"])
        if "Relation Name" in node and node["Node Type"].endswith("Scan")
    ]
    return int(max(scans))


@pytest.mark.parametrize("known", [True, False])
async def test_no_statement_of_the_dispatcher_reads_the_whole_queue(
    pool: Pool, known: bool
) -> None:
    await filled(pool, known=known)
    me = uuid4()
    store = PostgresCallStore(pool, me)
    some = await taken(store, requests(10, lane="lane-x"))
    ids = ([key.tenant_id for key in some], [key.completion_id for key in some])
    none = [None] * len(some)
    ends = (*ids, ["{}"] * len(some), *([none] * 6), CHANNEL)
    few = MANY // 20
    read = {
        "claim": await most_read(pool, sql.CLAIM, "lane-1", 64, 60, False, False, me, LONG),
        "ended": await most_read(pool, sql.CLAIM_ENDED, 500, me, LONG),
        "lanes": await most_read(pool, sql.LANES),
        "renew": await most_read(pool, sql.RENEW, me, *ids, LONG),
        "release": await most_read(pool, sql.RELEASE, me, *ids, True),
        "cancelled": await most_read(pool, sql.CANCELLED, me, *ids),
        "take back": await most_read(pool, sql.TAKE_BACK),
        "earlier": await most_read(pool, sql.EARLIER, "tenant-4", "key-4", 60.0),
        "reserved": await most_read(pool, sql.RESERVED, *ids),
        "record": await most_read(pool, sql.RECORD, *ends),
        "cancel": await most_read(pool, sql.CANCEL, "tenant-1", [UUID(int=99)]),
    }
    assert {name: rows for name, rows in read.items() if rows > few} == {}


async def test_a_round_of_everything_works_with_a_long_queue(pool: Pool) -> None:
    """The plans differ from those of a short one, what they do must not."""
    await filled(pool)
    kit, store = PostgresKit(pool), PostgresCallStore(pool)
    held = await taken(store, requests(20, lane="lane-x", cache_key="k"))
    await store.renew(held, LONG)
    asks = [ask(key, "0.1", "1") for key in held]
    answers = [grant for grant, _ in await store.reserve(asks)]
    assert answers == [Grant.GRANTED] * 10 + [Grant.WAIT] * 10
    await store.release(held[10:], unknown=False)
    assert await take(store, lane="lane-x") == []
    stored = await store.record([end(key, cost_usd=asks[0].usd) for key in held[:10]])
    assert set(stored) == set(held[:10])
    assert await kit.money(asks[0]) == (ask(held[0], "1").usd, ask(held[0], "0").usd)
    assert await take(store, lane="lane-x") == held[10:]
    assert await store.earlier_answer("tenant", "k", LONG) is not None
    assert len(await store.claim(Room("lane-1", 64, 64), LONG)) == 64
