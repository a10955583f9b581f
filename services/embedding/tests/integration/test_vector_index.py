"""One suite for every vector index: exact in memory, PostgreSQL with pgvector, Milvus."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import numpy as np
import pytest
import pytest_asyncio
from devkit.servers.local import ServerUnavailable
from devkit.stack import start_container
from embedding.adapters.memory import MemoryVectorIndex
from embedding.adapters.milvus import MilvusVectorIndex
from embedding.adapters.pgvector import FEW, PgVectorIndex
from embedding.domain.models import TextPoint, UserKey, UserPoint, Vector
from embedding.domain.ports import VectorIndex

pytestmark = pytest.mark.asyncio
MODEL = "test-model@1"
AT = datetime(2026, 11, 4, 10, 0, tzinfo=UTC)
MILVUS = "LIMELIGHT_TEST_MILVUS_URI"
ODD = "we\"ird \\ ten'ant {x} 梅 %s"


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusVectorIndex]:
    """Milvus Lite: its collections take a second to make, so that all tests share them."""
    yield from _milvus(str(tmp_path_factory.mktemp("milvus") / "milvus.db"))


@pytest.fixture(scope="module")
def server() -> Iterator[MilvusVectorIndex]:
    """A Milvus server, given or as a container; its collections are removed afterwards."""
    if MILVUS in os.environ:
        yield from _milvus(os.environ[MILVUS])
        return
    try:
        started = start_container("milvus")
    except ServerUnavailable as error:
        pytest.skip(f"{MILVUS} names no Milvus server; {error}")
    with started:
        yield from _milvus(started.url)


def _milvus(uri: str) -> Iterator[MilvusVectorIndex]:
    made = MilvusVectorIndex(uri, MODEL, 384, consistency="Strong")
    asyncio.run(made.open())
    yield made
    for name in (made._users, made._texts):
        made._client.drop_collection(name)
    asyncio.run(made.close())


@pytest.fixture(params=["memory", "pgvector", "lite", "server"])
def place(request: pytest.FixtureRequest) -> MilvusVectorIndex | str | None:
    """An index that all tests share, or the address of one, or nothing."""
    if request.param == "memory":
        return None
    name = "dsn" if request.param == "pgvector" else request.param
    found: MilvusVectorIndex | str = request.getfixturevalue(name)
    return found


@pytest_asyncio.fixture
async def index(place: MilvusVectorIndex | str | None) -> AsyncIterator[VectorIndex]:
    if place is None:
        yield MemoryVectorIndex()
    elif isinstance(place, str):
        found = await PgVectorIndex.open(place, MODEL, "tests")
        await found._pool.execute("TRUNCATE user_vectors, text_vectors")
        yield found
        await found.close()
    else:
        for name in (place._users, place._texts):
            place._client.delete(name, filter='id != ""')
            place._settle(name)
        yield place


def direction(*parts: float) -> Vector:
    """A vector of 384 numbers that begins with these."""
    vector = np.zeros(384, dtype=np.float32)
    vector[: len(parts)] = parts
    unit: Vector = vector / np.linalg.norm(vector)
    return unit


def user(name: str, vector: Vector, tenant: str = "a", version: int = 1) -> UserPoint:
    return UserPoint(UserKey(tenant, name), version, vector)


def said(text: str, by: str, tenant: str = "a") -> TextPoint:
    return TextPoint(uuid4(), "message", tenant, text, AT, by, "c-1", "m-1")


def answered(text: str, tenant: str = "a") -> TextPoint:
    made = uuid4()
    return TextPoint(
        id=made,
        kind="answer",
        tenant_id=tenant,
        text=text,
        at=AT,
        completion_id=made,
        run_id=uuid4(),
        model="openai/gpt",
        simulated=True,
    )


async def names(index: VectorIndex, point: UserPoint, limit: int = 10) -> list[str]:
    (near,) = await index.nearest(point.user.tenant_id, [point], limit)
    return [each.user_id for each in near]


async def test_nearest_users_come_in_order_without_the_one_who_asks(index: VectorIndex) -> None:
    ada = user("ada", direction(1, 0))
    others = [
        user("far", direction(-1, 0)),
        user("near", direction(1, 0.1)),
        user("mid", direction(1, 1)),
    ]
    await index.put_users([ada, *others])
    (near,) = await index.nearest("a", [ada], 10)
    assert [each.user_id for each in near] == ["near", "mid", "far"]
    expected = [float(ada.vector @ direction(1, 0.1)), float(np.sqrt(0.5)), -1.0]
    assert [each.similarity for each in near] == pytest.approx(expected, abs=1e-5)
    assert await names(index, ada, 1) == ["near"]


async def test_each_of_many_gets_their_own(index: VectorIndex) -> None:
    points = [user(f"u{at}", direction(*np.eye(6)[at % 3])) for at in range(6)]
    await index.put_users(points)
    found = await index.nearest("a", points, 1)
    assert [near[0].user_id for near in found] == ["u3", "u4", "u5", "u0", "u1", "u2"]


async def test_a_point_that_was_never_put_has_neighbours_too(index: VectorIndex) -> None:
    await index.put_users([user("ada", direction(1))])
    assert await names(index, user("new", direction(1))) == ["ada"]


async def test_nothing_put_and_nobody_asked(index: VectorIndex) -> None:
    await index.put_users([])
    await index.put_texts([])
    assert await index.nearest("a", [], 5) == []
    assert await names(index, user("ada", direction(1))) == []
    assert await index.search("a", direction(1), ("message",), 5) == []


async def test_a_higher_version_replaces_and_a_lower_one_does_not(index: VectorIndex) -> None:
    ask, other = user("ask", direction(1)), user("other", direction(1, 0.5))
    await index.put_users([user("ada", direction(1), version=2), other])
    await index.put_users([user("ada", direction(-1), version=1)])
    assert await names(index, ask) == ["ada", "other"]
    await index.put_users([user("ada", direction(-1), version=3)])
    assert await names(index, ask) == ["other", "ada"]
    await index.put_users([user("ada", direction(1), version=3)])
    assert await names(index, ask) == ["ada", "other"]


@pytest.mark.parametrize("tenant", ["b", "A", "a ", ODD, "' or 1 = 1 --", '" or tenant != "'])
async def test_a_tenant_finds_nothing_of_another(index: VectorIndex, tenant: str) -> None:
    own, foreign = user("ada", direction(1), tenant), user("ada", direction(1))
    await index.put_users([own, foreign, user("ben", direction(1))])
    await index.put_texts([(said("mine", "ada", tenant), direction(1))])
    await index.put_texts([(said("theirs", "ada"), direction(1))])
    assert await names(index, own) == []
    assert await names(index, foreign) == ["ben"]
    found = await index.search(tenant, direction(1), ("message", "answer"), 10)
    assert [(each.point.text, each.point.tenant_id) for each in found] == [("mine", tenant)]
    await index.remove_user(own.user)
    assert set(await names(index, user("ask", direction(1)))) == {"ada", "ben"}
    assert len(await index.search("a", direction(1), ("message",), 10)) == 1


async def test_texts_are_found_as_they_were_put(index: VectorIndex) -> None:
    message, answer = said("Wo ist 梅?\n\"'\\", "ü 'n \""), answered("It is there.")
    await index.put_texts([(message, direction(1)), (answer, direction(1, 1))])
    found = await index.search("a", direction(1), ("message", "answer"), 10)
    assert [each.point for each in found] == [message, answer]
    assert [each.similarity for each in found] == pytest.approx([1.0, 0.5**0.5], abs=1e-5)


async def test_only_the_wanted_kinds_and_no_more_than_the_limit(index: VectorIndex) -> None:
    texts = [(said(f"m{at}", "ada"), direction(1, at / 10)) for at in range(5)]
    texts += [(answered(f"a{at}"), direction(1, at / 10)) for at in range(5)]
    await index.put_texts(texts)
    found = await index.search("a", direction(1), ("answer",), 3)
    assert [each.point.text for each in found] == ["a0", "a1", "a2"]
    found = await index.search("a", direction(1), ("message",), 2)
    assert [each.point.text for each in found] == ["m0", "m1"]


async def test_the_same_text_put_again_is_there_once(index: VectorIndex) -> None:
    point = said("again", "ada")
    await index.put_texts([(point, direction(1)), (point, direction(1))])
    await index.put_texts([(point, direction(0, 1))])
    (found,) = await index.search("a", direction(0, 1), ("message",), 10)
    assert found.point == point
    assert found.similarity == pytest.approx(1.0)


async def test_a_removed_user_is_gone_with_all_they_said(index: VectorIndex) -> None:
    await index.put_users([user("ada", direction(1)), user("ben", direction(1))])
    await index.put_texts([(said("one", "ada"), direction(1)), (said("two", "ben"), direction(1))])
    await index.put_texts([(answered("three"), direction(1))])
    await index.remove_user(UserKey("a", "ada"))
    await index.remove_user(UserKey("a", "nobody"))
    assert await names(index, user("ask", direction(1))) == ["ben"]
    found = await index.search("a", direction(1), ("message", "answer"), 10)
    assert {each.point.text for each in found} == {"two", "three"}
    await index.put_users([user("ada", direction(1))])
    assert set(await names(index, user("ask", direction(1)))) == {"ada", "ben"}


async def test_ids_may_be_any_words_up_to_200_characters(index: VectorIndex) -> None:
    long = "梅" * 200
    point = TextPoint(UUID(int=7), "message", long, "é" * 300, AT, long, long, long)
    await index.put_users([user(long, direction(1), long)])
    await index.put_texts([(point, direction(1))])
    assert await names(index, user("ask", direction(1), long)) == [long]
    (found,) = await index.search(long, direction(1), ("message",), 1)
    assert found.point == point


async def test_it_answers(index: VectorIndex) -> None:
    assert await index.healthy()


def clustered(number: int) -> Vector:
    """Vectors around forty centres, as rows."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, 384))
    raw = centres[rng.integers(0, 40, number)] + rng.normal(size=(number, 384))
    rows: Vector = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    return rows


def nearest_rows(vectors: Vector, own: list[int], to: Vector, limit: int) -> set[int]:
    """The rows of ``own`` that are nearest, by all cosines."""
    scores = vectors[own] @ to
    return {own[place] for place in np.argsort(-scores)[:limit]}


async def test_most_of_the_nearest_are_found_among_many(index: VectorIndex) -> None:
    """More users than are compared one by one, and of two tenants."""
    number = 500 if isinstance(index, MemoryVectorIndex) else FEW + 1500
    vectors = clustered(number)
    for start in range(0, number, 500):
        some = range(start, min(number, start + 500))
        await index.put_users([user(f"u{at}", vectors[at], "ab"[at % 10 == 0]) for at in some])
    asked = [at for at in range(1, 200) if at % 10][:20]
    found = await index.nearest("a", [user(f"u{at}", vectors[at]) for at in asked], 50)
    own = [at for at in range(number) if at % 10]
    hits = 0
    for at, near in zip(asked, found, strict=True):
        assert len(near) == 50
        best = nearest_rows(vectors, [each for each in own if each != at], vectors[at], 50)
        hits += len({each.user_id for each in near} & {f"u{each}" for each in best})
    assert hits / (50 * len(asked)) > 0.9


async def test_most_of_the_nearest_texts_are_found_among_many(index: VectorIndex) -> None:
    number = 500 if isinstance(index, MemoryVectorIndex) else FEW + 1500
    vectors = clustered(number + 20)
    for start in range(0, number, 500):
        some = range(start, min(number, start + 500))
        points = [said(f"t{at}", "ada") if at % 10 else answered(f"t{at}") for at in some]
        await index.put_texts(list(zip(points, vectors[start:], strict=False)))
    hits = 0
    for asked in vectors[number:]:
        found = await index.search("a", asked, ("message",), 10)
        assert len(found) == 10
        assert [each.similarity for each in found] == sorted(
            (each.similarity for each in found), reverse=True
        )
        best = nearest_rows(vectors, [at for at in range(number) if at % 10], asked, 10)
        hits += len({each.point.text for each in found} & {f"t{at}" for at in best})
    assert hits / 200 > 0.9
