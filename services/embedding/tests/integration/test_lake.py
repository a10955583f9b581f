"""One suite for every lake: in memory, PostgreSQL, MongoDB."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from bus.stores.postgres import connect
from embedding.adapters.memory import MemoryLake
from embedding.adapters.mongo import MongoLake
from embedding.adapters.postgres import PostgresLake
from embedding.domain.models import Answer, Campaign, UserKey
from embedding.domain.ports import Lake
from services.embedding.tests.lake_kit import (
    ADA,
    AT,
    ODD,
    answer,
    campaign,
    message,
    mongo_url,
    same,
    state,
    vector,
)

pytestmark = pytest.mark.asyncio
BEN = UserKey("kaffeehaus", "ben")
ADA_ELSEWHERE = UserKey("bluebird", "ada")


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("LIMELIGHT_TEST_MONGO_URL")
    with mongo_url(given, tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture(params=["memory", "postgres", "mongo"])
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A kind of lake and its address."""
    fixtures = {"postgres": "dsn", "mongo": "mongo"}
    name = fixtures.get(request.param)
    return request.param, request.getfixturevalue(name) if name else ""


@pytest_asyncio.fixture
async def lake(place: tuple[str, str]) -> AsyncIterator[Lake]:
    kind, address = place
    if kind == "memory":
        yield MemoryLake()
    elif kind == "postgres":
        pool = await connect(address, "tests", size=4)
        await pool.execute("TRUNCATE messages, answers, campaigns, states, tombstones")
        yield PostgresLake(pool)
        await pool.close()
    else:
        mongo = MongoLake(f"{address}/lake_{uuid4().hex}")
        await mongo.open()
        yield mongo
        await mongo._client.drop_database(mongo._database.name)
        await mongo.close()


async def test_messages_are_kept_as_they_came(lake: Lake) -> None:
    first = message("m-1")
    second = message("m-2", ODD, message_id=None, text="", lineage={}, role="assistant")
    kept = await lake.add_messages([first, second])
    assert [(each.message, each.counted) for each in kept] == [(first, False), (second, False)]
    assert [each.message for each in await lake.messages_of(ODD, None, 9)] == [second]


async def test_a_line_may_have_the_largest_number_there_is(lake: Lake) -> None:
    far = message("m-1", lineage={"file": "talk.jsonl", "line": 2**63 - 1})
    (kept,) = await lake.add_messages([far])
    assert kept.message == far


async def test_the_first_of_a_message_stays(lake: Lake) -> None:
    first = message("m-1")
    await lake.add_messages([first])
    again = replace(first, text="something else", heard_at=AT + timedelta(days=1))
    kept = await lake.add_messages([again, message("m-2"), again])
    assert [each.message for each in kept] == [first, message("m-2"), first]


async def test_a_message_of_a_megabyte_is_kept_whole(lake: Lake) -> None:
    long = message("m-1", text="Straße 梅 " * 100_000)
    (kept,) = await lake.add_messages([long])
    assert kept.message.text == long.text


async def test_counted_messages_are_marked(lake: Lake) -> None:
    one, two = message("m-1"), message("m-2")
    await lake.add_messages([one, two])
    await lake.mark_counted([one.id, uuid4()])
    await lake.mark_counted([one.id])
    await lake.mark_counted([])
    kept = await lake.add_messages([one, two])
    assert [each.counted for each in kept] == [True, False]


async def test_nothing_is_nothing(lake: Lake) -> None:
    assert list(await lake.add_messages([])) == []
    assert await lake.states([]) == {}
    assert list(await lake.save_states([])) == []
    assert await lake.forgotten([]) == {}
    assert list(await lake.put_campaigns([])) == []
    assert await lake.next_user(None) is None
    await lake.add_answers([])
    assert list(await lake.answers_after(None, 5)) == []
    assert list(await lake.tenants()) == []


async def test_a_state_is_read_as_it_was_written(lake: Lake) -> None:
    first, other = state(ADA, 1, uuid4(), uuid4()), state(ODD, 5)
    assert set(await lake.save_states([(first, 0), (other, 0)])) == {ADA, ODD}
    found = await lake.states([ADA, ODD, BEN])
    assert found.keys() == {ADA, ODD}
    assert same(found[ADA], first)
    assert same(found[ODD], other)


async def test_a_state_is_written_over_its_own_version_only(lake: Lake) -> None:
    await lake.save_states([(state(ADA, 3), 0)])
    assert list(await lake.save_states([(state(ADA, 4), 0)])) == []
    assert list(await lake.save_states([(state(ADA, 4), 2)])) == []
    saved = await lake.save_states([(state(ADA, 9), 3), (state(BEN, 1), 0), (state(ODD, 8), 7)])
    assert set(saved) == {ADA, BEN}
    found = await lake.states([ADA, BEN, ODD])
    assert {user: each.version for user, each in found.items()} == {ADA: 9, BEN: 1}


async def test_of_many_who_write_at_once_one_wins(lake: Lake) -> None:
    """In this process also where the server finds and replaces in two steps, as FerretDB 1 does."""
    await lake.save_states([(state(ADA, 1), 0)])
    rivals = [lake.save_states([(state(ADA, 2), 1)]) for _ in range(8)]
    newcomers = [lake.save_states([(state(BEN, 1), 0)]) for _ in range(8)]
    won = [list(each) for each in await asyncio.gather(*rivals, *newcomers)]
    assert sorted(won) == [[]] * 14 + [[ADA], [BEN]]


async def test_a_state_is_dropped_if_it_is_of_that_version(lake: Lake) -> None:
    await lake.save_states([(state(ADA, 2), 0)])
    assert not await lake.drop_state(ADA, 1)
    assert await lake.drop_state(ADA, 2)
    assert await lake.drop_state(ADA, 2)
    assert await lake.states([ADA]) == {}
    assert set(await lake.save_states([(state(ADA, 3), 0)])) == {ADA}


async def test_who_is_forgotten_loses_what_was_heard_up_to_then(lake: Lake) -> None:
    tick = timedelta(microseconds=1)
    later = message("late", heard_at=AT + tick)
    kept = [message("m-1", BEN), message("m-1", ADA_ELSEWHERE), later]
    await lake.add_messages([message("m-1"), message("m-2", heard_at=AT - tick), *kept])
    assert await lake.forget(ADA, AT) == 2
    assert await lake.forget(ADA, AT) == 0
    assert await lake.forgotten([ADA, BEN, ADA_ELSEWHERE]) == {ADA: AT}
    for one in kept:
        assert [each.message for each in await lake.messages_of(one.user, None, 9)] == [one]


async def test_the_latest_time_of_forgetting_stays(lake: Lake) -> None:
    await lake.forget(ODD, AT)
    await lake.forget(ODD, AT - timedelta(days=1))
    assert await lake.forgotten([ODD]) == {ODD: AT}
    await lake.add_messages([message("m-1", ODD)])
    await lake.forget(ODD, AT - timedelta(days=2))
    assert list(await lake.messages_of(ODD, None, 9)) == []


async def test_everybody_who_said_something_is_gone_through_once(lake: Lake) -> None:
    users = {UserKey(tenant, user) for tenant in ("a", "b/", "ü") for user in ("x", "y", "b/x")}
    await lake.add_messages([message(name, user) for user in users for name in ("m-1", "m-2")])
    found: list[UserKey] = []
    while (user := await lake.next_user(found[-1] if found else None)) is not None:
        found.append(user)
        assert len(found) <= len(users)
    assert set(found) == users


async def test_messages_of_a_user_come_in_pages(lake: Lake) -> None:
    mine = [message(f"m-{at}") for at in range(7)]
    await lake.add_messages([*mine, message("m-1", BEN)])
    found: list[UUID] = []
    while page := await lake.messages_of(ADA, found[-1] if found else None, 3):
        assert len(page) <= 3
        found += [each.message.id for each in page]
    assert found == sorted(each.id for each in mine)


async def test_answers_are_kept_once_and_come_in_pages(lake: Lake) -> None:
    mine = [answer() for _ in range(4)]
    foreign = [replace(mine[0], tenant_id="bluebird", text="theirs"), answer("ü")]
    await lake.add_answers([*mine, *foreign])
    await lake.add_answers([replace(mine[0], text="again"), mine[1]])
    found: list[Answer] = []
    after = None
    while page := await lake.answers_after(after, 2):
        found += page
        after = (page[-1].tenant_id, page[-1].completion_id)
    assert len(found) == 6
    assert {(each.tenant_id, each.completion_id): each for each in found} == {
        (each.tenant_id, each.completion_id): each for each in [*mine, *foreign]
    }


def _plain(given: Campaign) -> Campaign:
    return replace(given, vector=None)


async def test_campaigns_are_kept_in_their_latest_state(lake: Lake) -> None:
    first = campaign()
    later = replace(first, title="Later", changed_at=AT + timedelta(microseconds=1))
    assert list(await lake.put_campaigns([later, campaign("other")])) == [True, True]
    assert list(await lake.put_campaigns([first, campaign("other")])) == [False, True]
    found = await lake.campaigns("kaffeehaus")
    assert {each.campaign_id: _plain(each) for each in found} == {
        "espresso": _plain(later),
        "other": _plain(campaign("other")),
    }
    for each in found:
        assert each.vector is not None
        assert each.vector.tobytes() == vector(1, 1 / 3).tobytes()


async def test_deleted_campaigns_are_remembered_and_not_shown(lake: Lake) -> None:
    gone = campaign(deleted=True, vector=None, ends_at=None, intents=(), excluded_intents=())
    await lake.put_campaigns([gone])
    assert list(await lake.campaigns("kaffeehaus")) == []
    earlier = replace(campaign(), changed_at=AT - timedelta(seconds=1))
    assert list(await lake.put_campaigns([earlier])) == [False]
    assert list(await lake.campaigns("kaffeehaus")) == []
    back = replace(gone, deleted=False, changed_at=AT + timedelta(seconds=1))
    await lake.put_campaigns([back])
    assert [_plain(each) for each in await lake.campaigns("kaffeehaus")] == [back]


async def test_a_tenant_sees_no_campaign_of_another(lake: Lake) -> None:
    await lake.put_campaigns([campaign(), replace(campaign(), tenant_id="bluebird", title="B")])
    await lake.put_campaigns([replace(campaign(), tenant_id=ODD.tenant_id, deleted=True)])
    assert [each.title for each in await lake.campaigns("bluebird")] == ["B"]
    assert list(await lake.campaigns(ODD.tenant_id)) == []
    assert list(await lake.campaigns("bluebir")) == []
    assert set(await lake.tenants()) == {"kaffeehaus", "bluebird", ODD.tenant_id}


async def test_it_answers(lake: Lake) -> None:
    assert await lake.healthy()
