"""What only the store in Redis can get wrong: its scripts, its traces, its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from bus.errors import Unavailable
from devkit.embedded import EmbeddedRedis
from hypothesis import given, settings
from hypothesis import strategies as st
from recommender.adapters.redis import Batch, NewerLayout, RedisConnection, RedisLayout
from recommender.adapters.redis_agenda import LEASE
from recommender.adapters.redis_coding import considered, micros
from recommender.adapters.redis_keys import AGENDA, LAYOUT, keys_of
from recommender.domain.models import Engagement, Kind
from recommender.domain.policy import Policy
from recommender.domain.ports import Verdict
from redis.exceptions import ResponseError
from services.recommender.tests.kits import (
    DAY,
    NOW,
    Kit,
    affinity,
    campaign,
    draft,
    engagement,
    memory_kit,
    redis_kit,
    until,
)

ADA = ("t-1", "ada")
did = st.builds(
    lambda number, kind, key, user, minutes: engagement(
        kind,
        key,
        user,
        at=NOW - timedelta(minutes=minutes),
        engagement_id=f"e-{number}",
    ),
    st.integers(0, 25),
    st.sampled_from(list(Kind)),
    st.sampled_from(["tea", "espresso"]),
    st.sampled_from(["ada", "ben"]),
    st.integers(0, 60 * 24 * 40),
)


def once(told: list[Engagement]) -> list[Engagement]:
    """The first of each id of a user: what the others say is not heard."""
    return list({(one.user_id, one.engagement_id): one for one in reversed(told)}.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(did, min_size=1, max_size=25), st.integers(0, 2**32))
def test_engagements_come_to_the_same_in_any_order_and_however_often(
    redis_server: EmbeddedRedis, told: list[Engagement], seed: int
) -> None:
    asyncio.run(_same(redis_server.url, once(told), seed))


async def _same(url: str, told: list[Engagement], seed: int) -> None:
    rng = random.Random(seed)
    again = rng.choices(told, k=rng.randint(0, len(told)))
    shuffled = rng.sample([*told, *again], len(told) + len(again))
    one, other = redis_kit(url), memory_kit()
    assert one.redis is not None
    await one.redis.call("FLUSHALL")
    for item in shuffled:
        await one.people.take_engagements([("t-1", item)])
    await other.people.take_engagements([("t-1", item) for item in told])
    users = {("t-1", item.user_id) for item in told}
    assert _persons(await one.people.read(users)) == _persons(await other.people.read(users))
    found, wanted = [(await kit.offers.counted(["t-1"]))["t-1"].tallies for kit in (one, other)]
    assert found.keys() == wanted.keys()
    for key, tally in wanted.items():
        for name in ("impressions", "clicks", "conversions", "dismissals", "people"):
            assert getattr(found[key], name) == pytest.approx(getattr(tally, name), abs=1e-6)
    await one.redis.close()


def _persons(known: object) -> dict[object, object]:
    return {user: one.person for user, one in known.items()}  # type: ignore[attr-defined]


@pytest.mark.asyncio
async def test_of_many_impressions_the_newest_are_kept(redis_server: EmbeddedRedis) -> None:
    kit = redis_kit(redis_server.url, Policy(impressions_kept=10))
    assert kit.redis is not None
    await kit.redis.call("FLUSHALL")
    times = [NOW - timedelta(minutes=n) for n in range(95)]
    random.Random(5).shuffle(times)
    for at in times:
        await kit.people.take_engagements([("t-1", engagement(Kind.IMPRESSION, at=at))])
    (known,) = (await kit.people.read([ADA])).values()
    kept = known.person.facts["espresso"].impressions
    assert 10 <= len(kept) <= 20
    assert kept[-10:] == tuple(sorted(times)[-10:])
    await kit.redis.close()


@pytest.mark.asyncio
async def test_ids_are_forgotten_after_thirty_days(on_redis: Kit) -> None:
    told = engagement()
    await on_redis.people.take_engagements([("t-1", told)])
    on_redis.clock.advance(29 * 86400)
    await on_redis.people.take_engagements([("t-1", told), ("t-1", engagement(at=NOW + 29 * DAY))])
    assert on_redis.redis is not None
    ids = keys_of("t-1").ids("ada")
    assert await on_redis.redis.call("ZCARD", ids) == 2
    assert 29 * 86400 < await on_redis.redis.call("TTL", ids) <= 30 * 86400
    on_redis.clock.advance(2 * 86400)
    await on_redis.people.take_engagements([("t-1", engagement(at=NOW + 31 * DAY))])
    assert told.engagement_id.encode() not in await on_redis.redis.call("ZRANGE", ids, 0, -1)


@pytest.mark.asyncio
async def test_one_that_was_taken_in_long_ago_is_still_counted_once(on_redis: Kit) -> None:
    old = engagement(at=NOW - 90 * DAY)
    for _ in range(2):
        await on_redis.people.take_engagements([("t-1", old)])
        await on_redis.people.take_engagements([("t-1", engagement())])
    (known,) = (await on_redis.people.read([ADA])).values()
    assert known.person.facts["espresso"].clicked_at == NOW
    assert on_redis.redis is not None
    facts = await on_redis.redis.call("HGET", keys_of("t-1").facts("ada"), "cespresso")
    assert facts.count(b";") == 3


@pytest.mark.asyncio
async def test_nothing_in_the_store_names_a_forgotten_user(on_redis: Kit) -> None:
    user, name = ("t-1", "ada-lovelace"), b"ada-lovelace"
    await on_redis.offers.take_campaigns([("t-1", campaign())])
    await on_redis.people.take_affinities({user: affinity("espresso")})
    told = engagement(user_id="ada-lovelace", engagement_id="e-ada-lovelace")
    known = await on_redis.people.take_engagements([("t-1", told)])
    revision = (await on_redis.offers.catalogs(["t-1"]))["t-1"].revision
    (saved,) = await on_redis.people.save([draft(user, known[user], revision)])
    assert saved.verdict is Verdict.PUBLISH
    await on_redis.people.published({user: saved.version})
    assert name in await _everything(on_redis)
    await on_redis.people.forget({user: NOW})
    left = await _everything(on_redis)
    assert name not in left
    assert b"cespresso" not in left
    assert on_redis.redis is not None
    gone = keys_of("t-1").gone("ada-lovelace")
    assert 89 * 86400 < await on_redis.redis.call("TTL", gone) <= 90 * 86400


async def _everything(kit: Kit) -> bytes:
    """All keys, members, fields and values."""
    assert kit.redis is not None
    read = {
        b"string": ("GET",),
        b"hash": ("HGETALL",),
        b"set": ("SMEMBERS",),
        b"zset": ("ZRANGE", 0, -1),
    }
    found = []
    for key in await kit.redis.call("KEYS", "*"):
        kind = await kit.redis.call("TYPE", key)
        command, *rest = read[kind]
        found.append(repr((key, await kit.redis.call(str(command), key, *rest))).encode())
    return b"\n".join(found)


@pytest.mark.asyncio
async def test_ids_of_what_was_taken_in_long_ago_are_removed_too(on_redis: Kit) -> None:
    await on_redis.people.take_engagements([("t-1", engagement(at=NOW - 90 * DAY))])
    await on_redis.people.forget({ADA: NOW - 40 * DAY})
    assert b"e-" not in await _everything(on_redis)


@pytest.mark.asyncio
async def test_a_large_tenant_is_walked_in_pages(on_redis: Kit) -> None:
    users = [("t-1", f"u-{n:04}") for n in range(1200)]
    known = await on_redis.people.take_affinities(dict.fromkeys(users, affinity("espresso")))
    groups = [("espresso",), ("tea",), ("filter",)]
    drafts = [
        replace(draft(user, known[user]), considered=groups[n % 3]) for n, user in enumerate(users)
    ]
    await on_redis.people.save(drafts)
    await on_redis.offers.take_campaigns([("t-1", campaign("espresso"))])
    await on_redis.agenda.walk("t-1", 1)
    first = (await on_redis.agenda.due({"t-1": 2000}))["t-1"]
    assert first.walk
    assert 0 < len(first.users) < 400
    await on_redis.offers.take_campaigns([("t-1", campaign("filter"))])
    while (due := (await on_redis.agenda.due({"t-1": 2000}))["t-1"]).walk:
        await on_redis.another().agenda.walk("t-1", 1)
    wanted = {user for n, (_, user) in enumerate(users) if n % 3 != 1}
    assert set(due.users) == wanted


@pytest.mark.asyncio
async def test_a_walk_takes_no_two_halves_of_campaigns_for_one(on_redis: Kit) -> None:
    keys, both = keys_of("t-1"), considered(["espresso", "tea"], complete=True)
    assert on_redis.redis is not None
    for wanted, found in ((both[2:6], 0), (both[4:8], 1)):
        batch = Batch()
        batch.add("HSET", keys.user("ada"), "considered", both)
        batch.run("mark-users", [keys.due, keys.user("ada")], micros(NOW), wanted, "ada")
        batch.add("ZCARD", keys.due)
        assert (await on_redis.redis.send(batch))[-1] == found


@pytest.mark.asyncio
async def test_what_becomes_due_while_a_tenant_is_released_is_not_forgotten(on_redis: Kit) -> None:
    await on_redis.people.postpone({ADA: NOW})
    assert await on_redis.agenda.claim(9) == ["t-1"]
    assert on_redis.redis is not None
    lease = int(float(await on_redis.redis.call("ZSCORE", AGENDA, "t-1")))
    await on_redis.people.postpone({("t-1", "ben"): NOW + timedelta(seconds=1)})
    late = Batch()
    late.run("release-tenant", [AGENDA], "t-1", lease, micros(NOW + DAY))
    await on_redis.redis.send(late)
    on_redis.clock.advance(1)
    assert await on_redis.agenda.claim(9) == ["t-1"]


@pytest.mark.asyncio
async def test_a_tenant_with_much_to_do_waits_behind_the_others(on_redis: Kit) -> None:
    await on_redis.people.postpone({ADA: NOW - DAY, ("t-2", "ada"): NOW})
    assert await on_redis.agenda.claim(1) == ["t-1"]
    on_redis.clock.advance(1)
    await on_redis.agenda.release(["t-1"])
    assert await on_redis.agenda.claim(1) == ["t-2"]
    assert await on_redis.agenda.claim(1) == ["t-1"]


@pytest.mark.asyncio
async def test_a_tenant_of_a_process_that_died_is_claimed_by_another(on_redis: Kit) -> None:
    await on_redis.people.postpone({ADA: NOW})
    assert await on_redis.agenda.claim(9) == ["t-1"]
    on_redis.clock.advance(LEASE.total_seconds())
    assert await on_redis.another().agenda.claim(9) == ["t-1"]


@pytest.mark.asyncio
async def test_a_server_that_was_started_anew_is_given_the_scripts_again(on_redis: Kit) -> None:
    await on_redis.people.take_affinities({ADA: affinity("espresso")})
    assert on_redis.redis is not None
    await on_redis.redis.call("SCRIPT", "FLUSH")
    assert (await on_redis.people.read([ADA])).keys() == {ADA}


@pytest.mark.asyncio
async def test_a_catalog_of_a_lost_store_is_not_remembered(on_redis: Kit) -> None:
    await on_redis.offers.take_campaigns([("t-1", campaign())])
    assert (await on_redis.offers.catalogs(["t-1"]))["t-1"].campaigns
    assert on_redis.redis is not None
    await on_redis.redis.call("FLUSHALL")
    assert (await on_redis.offers.catalogs(["t-1"]))["t-1"].campaigns == {}
    await on_redis.offers.take_campaigns([("t-1", campaign("tea"))])
    assert (await on_redis.offers.catalogs(["t-1"]))["t-1"].campaigns.keys() == {"tea"}


@pytest.mark.asyncio
async def test_a_revision_does_not_fall_with_the_store(on_redis: Kit) -> None:
    await on_redis.offers.take_campaigns([("t-1", campaign(key)) for key in ("a", "b", "c")])
    before = (await on_redis.offers.catalogs(["t-1"]))["t-1"].revision
    assert on_redis.redis is not None
    await on_redis.redis.call("FLUSHALL")
    on_redis.clock.advance(1)
    await on_redis.offers.take_campaigns([("t-1", campaign("a"))])
    assert (await on_redis.another().offers.catalogs(["t-1"]))["t-1"].revision > before


@pytest.mark.asyncio
async def test_all_keys_of_a_tenant_are_in_one_slot_of_a_cluster(on_redis: Kit) -> None:
    for tenant in ("t-1", "a}b{c", "梅"):
        user = (tenant, "ada{x}")
        await on_redis.offers.take_campaigns([(tenant, campaign())])
        await on_redis.people.take_affinities({user: affinity("espresso")})
        await on_redis.people.take_engagements([(tenant, engagement(user_id="ada{x}"))])
        await on_redis.people.forget({user: NOW})
    assert on_redis.redis is not None
    names = [key.decode() for key in await on_redis.redis.call("KEYS", "*")]
    tags = {name.partition("{")[2].partition("}")[0] for name in names if "{" in name}
    assert tags == {"t-1", "a%7Db%7Bc", "%E6%A2%85"}
    assert [name for name in names if "{" not in name] == ["recommender:agenda"]


@pytest.mark.asyncio
async def test_redis_that_is_down_is_waited_for(tmp_path: Path) -> None:
    server = await EmbeddedRedis.start(tmp_path / "redis")
    kit = redis_kit(server.url)
    assert kit.redis is not None
    await kit.people.take_affinities({ADA: affinity("espresso")})
    assert await kit.redis.healthy()
    await server.stop()
    with pytest.raises(Unavailable, match="redis"):
        await kit.people.read([ADA])
    assert not await kit.redis.healthy()
    again = await EmbeddedRedis.start(tmp_path / "redis")
    assert (await kit.people.read([ADA])).keys() == {ADA}
    await kit.redis.close()
    await again.stop()


@pytest.mark.asyncio
async def test_a_full_redis_is_waited_for(tmp_path: Path) -> None:
    server = await EmbeddedRedis.start(tmp_path / "redis")
    kit = redis_kit(server.url)
    assert kit.redis is not None
    await kit.people.take_affinities({ADA: affinity("espresso")})
    await kit.redis.call("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(Unavailable, match="maxmemory"):
        await kit.people.take_engagements([("t-1", engagement())])
    await kit.redis.call("CONFIG", "SET", "maxmemory", "0")
    assert (await kit.people.take_engagements([("t-1", engagement())])).keys() == {ADA}
    await kit.redis.close()
    await server.stop()


async def _unable_to_save(redis: RedisConnection, folder: Path) -> None:
    """As on a full disk: the server refuses writes once it could not write its snapshot."""
    await asyncio.to_thread(folder.mkdir)
    await redis.call("CONFIG", "SET", "dir", str(folder))
    await redis.call("CONFIG", "SET", "save", "3600 1")
    await asyncio.to_thread(folder.rmdir)
    await redis.call("BGSAVE")

    async def failed() -> bool:
        found = await redis.call("INFO", "persistence")
        return bool(found["rdb_last_bgsave_status"] == "err")

    await until(failed, "the snapshot fails")


async def _without_replicas(redis: RedisConnection, folder: Path) -> None:
    await redis.call("CONFIG", "SET", "min-replicas-to-write", "1")


async def _as_a_replica(redis: RedisConnection, folder: Path) -> None:
    """As after a failover that the client has not heard of."""
    await redis.call("REPLICAOF", "127.0.0.1", "1")


Ailing = Callable[[RedisConnection, Path], Awaitable[None]]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fall_ill", "get_well", "answers"),
    [
        (_unable_to_save, ("CONFIG", "SET", "save", ""), False),
        (_without_replicas, ("CONFIG", "SET", "min-replicas-to-write", "0"), True),
        (_as_a_replica, ("REPLICAOF", "NO", "ONE"), True),
    ],
)
async def test_a_redis_that_takes_no_writes_is_waited_for(
    tmp_path: Path, fall_ill: Ailing, get_well: tuple[str, ...], answers: bool
) -> None:
    server = await EmbeddedRedis.start(tmp_path / "redis")
    kit = redis_kit(server.url)
    assert kit.redis is not None
    await fall_ill(kit.redis, tmp_path / "gone")
    told = [("t-1", engagement())]
    with pytest.raises(Unavailable, match="redis"):
        await kit.people.take_engagements(told)
    with pytest.raises(Unavailable, match="redis"):
        await RedisLayout(kit.redis).mark()
    with pytest.raises(Unavailable, match="redis"):
        await kit.people.postpone({ADA: NOW})
    assert await kit.redis.healthy() is answers
    await kit.redis.call(*get_well)
    assert (await kit.people.take_engagements(told)).keys() == {ADA}
    assert await kit.redis.healthy()
    await kit.redis.close()
    await server.stop()


@pytest.mark.asyncio
async def test_a_defect_of_a_command_is_not_waited_for(on_redis: Kit) -> None:
    assert on_redis.redis is not None
    await on_redis.redis.call("SET", keys_of("t-1").user("ada"), "x")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await on_redis.people.read([ADA])
    with pytest.raises(ResponseError, match="-READONLY told"):
        await on_redis.redis.call("NONSENSE", "script: -READONLY told")


@pytest.mark.asyncio
async def test_the_layout_tells_whether_the_store_is_known(redis_server: EmbeddedRedis) -> None:
    redis = RedisConnection(redis_server.url)
    await redis.call("FLUSHALL")
    layout = RedisLayout(redis)
    assert not await layout.known()
    await layout.mark()
    assert await layout.known()
    await redis.call("SET", LAYOUT, "0")
    assert not await layout.known()
    await redis.call("SET", LAYOUT, "2")
    with pytest.raises(NewerLayout, match="layout 2"):
        await layout.known()
    await redis.close()
