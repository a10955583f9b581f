"""What every engine of the graph promises: the same as the one in memory, whatever happens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from devkit.embedded import EmbeddedPostgres
from graph_loader.adapters.memory import MemoryGraph
from graph_loader.adapters.neo4j import Neo4jGraph
from graph_loader.adapters.postgres import PostgresGraph
from graph_loader.domain import batches
from graph_loader.domain.models import (
    Affinity,
    Answer,
    Campaign,
    Conversation,
    Engagement,
    Key,
    Named,
    Nearness,
    Person,
    Statement,
    Times,
    Wanted,
    Wish,
)
from graph_loader.domain.ports import Graph
from graph_loader.domain.region import Reach, Region
from graph_loader.domain.rules import NEIGHBOURS
from neo4j import AsyncGraphDatabase

pytestmark = pytest.mark.asyncio
HOUR = 3_600_000_000
T0 = 1_790_000_000_000_000
TENANTS = ("acme", "a/b%2F c")
PEOPLE = ("u-1", "u/2", "u%3", "梅", "u-5", "u-6")
CAMPAIGNS = ("c-1", "c/2", "☕", "c-4")
INTENTS = ("pricing", "book flight", "予約")


def all_keys(ids: tuple[str, ...]) -> frozenset[Key]:
    return frozenset((tenant, one) for tenant in TENANTS for one in ids)


async def empty(url: str) -> None:
    async with AsyncGraphDatabase.driver(url) as driver:
        await driver.execute_query("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")


Opening = Callable[[], Awaitable[Graph]]


@pytest.fixture(params=["memory", "neo4j", "postgres"])
def opening(request: pytest.FixtureRequest) -> Opening:
    """How to open an empty graph of each engine."""
    makers: dict[str, Callable[[pytest.FixtureRequest], Opening]] = {
        "memory": lambda _: in_memory,
        "neo4j": on_neo4j,
        "postgres": on_postgres,
    }
    return makers[request.param](request)


async def in_memory() -> Graph:
    return MemoryGraph()


def on_neo4j(request: pytest.FixtureRequest) -> Opening:
    url: str = request.getfixturevalue("neo4j_url")

    async def opened() -> Graph:
        await empty(url)
        return await Neo4jGraph.connect(url)

    return opened


def on_postgres(request: pytest.FixtureRequest) -> Opening:
    server: EmbeddedPostgres = request.getfixturevalue("postgres")

    async def opened() -> Graph:
        dsn = await server.database(f"graph_{uuid4().hex}")
        return await PostgresGraph.connect(dsn, "graph-loader tests")

    return opened


@pytest_asyncio.fixture
async def graph(opening: Opening) -> AsyncIterator[Graph]:
    opened = await opening()
    yield opened
    await opened.close()


def said(user: str, version: int, *near: tuple[str, float], tenant: str = "acme") -> Statement:
    at = T0 + version
    return Statement((tenant, user), version, at, at, near, (Wish("pricing", 0.5),))


def did(user: str, campaign: str, kind: str = "clicked", hour: int = 0) -> Engagement:
    at = T0 + hour * HOUR
    return Engagement(("acme", user), campaign, kind, at, at)


async def hear(graph: Graph, *statements: Statement) -> None:
    await graph.change(*batches.statements(statements, T0))


async def engage(graph: Graph, *done: Engagement) -> None:
    await graph.change(*batches.engagements(done, T0))


async def names(graph: Graph, user: str, tenant: str = "acme") -> list[str]:
    people = await graph.people([(tenant, user)])
    return [one.user_id for one in people[tenant, user].neighbours]


async def test_edges_are_seen_from_both_ends(graph: Graph) -> None:
    await hear(graph, said("u", 1, ("v", 0.9), ("w", 0.95)))
    assert await names(graph, "u") == ["w", "v"]
    assert await names(graph, "v") == ["u"]


async def test_only_the_strongest_neighbours_count(graph: Graph) -> None:
    near = [(f"v{n:03}", n / 100) for n in range(NEIGHBOURS + 10)]
    await hear(graph, said("u", 1, *near))
    expected = [f"v{n:03}" for n in reversed(range(10, NEIGHBOURS + 10))]
    assert await names(graph, "u") == expected


async def test_equal_neighbours_are_ordered_by_their_ids(graph: Graph) -> None:
    near = [(f"v{n:03}", 0.5) for n in range(NEIGHBOURS + 10)]
    await hear(graph, said("u", 1, *reversed(near)))
    assert await names(graph, "u") == [f"v{n:03}" for n in range(NEIGHBOURS)]


async def test_the_newest_statement_of_the_two_holds(graph: Graph) -> None:
    await hear(graph, said("u", 5, ("v", 0.9)))
    await hear(graph, said("v", 3, ("w", 0.8)))
    assert await names(graph, "v") == ["u", "w"]
    await hear(graph, said("v", 7, ("w", 0.8)))
    assert await names(graph, "v") == ["w"]
    await hear(graph, said("u", 6, ("v", 0.9), ("x", 0.1)))
    assert await names(graph, "u") == ["x"]


async def test_an_older_version_changes_nothing(graph: Graph) -> None:
    await hear(graph, said("u", 5, ("v", 0.9)))
    await hear(graph, said("u", 4, ("w", 0.9)))
    assert await names(graph, "u") == ["v"]


async def test_tenants_do_not_meet(graph: Graph) -> None:
    await hear(graph, said("u", 1, ("v", 0.9)), said("u", 1, ("w", 0.8), tenant="other"))
    await engage(graph, did("v", "c"))
    assert await names(graph, "u", "other") == ["w"]
    people = await graph.people([("other", "w"), ("other", "v"), ("acme", "v")])
    assert set(people) == {("other", "w"), ("acme", "v")}
    wanted = Wanted(frozenset({("other", "c")}), frozenset(), frozenset({("other", "c")}))
    offers = await graph.offers(wanted)
    assert (offers.shared[("other", "c")], offers.deleted) == ((), frozenset())


async def test_of_each_kind_of_engagement_the_last_counts(graph: Graph) -> None:
    await engage(graph, did("u", "c", "clicked", 3), did("u", "c", "clicked", 1))
    await engage(graph, did("u", "c", "converted", 2), did("u", "c", "seen", 9))
    person = (await graph.people([("acme", "u")]))["acme", "u"]
    assert person.engaged == (("c", Times(0, T0 + 3 * HOUR, T0 + 2 * HOUR, 0)),)


async def test_campaigns_engaged_with_by_the_same_people_are_alike(graph: Graph) -> None:
    await engage(graph, did("u", "a"), did("u", "b"), did("v", "a"), did("v", "b"), did("w", "a"))
    wanted = Wanted(engaged=frozenset({("acme", "a")}))
    (alike,) = (await graph.offers(wanted)).shared["acme", "a"]
    assert (alike.campaign_id, alike.users) == ("b", 2)
    assert alike.cosine == pytest.approx(2 / 6**0.5, abs=1e-12)
    await engage(graph, did("v", "b", "dismissed", 1))
    (alike,) = (await graph.offers(wanted)).shared["acme", "a"]
    assert alike.users == 1
    assert alike.cosine == pytest.approx(1 / 3**0.5, abs=1e-12)


async def test_campaigns_are_found_by_their_intents_and_deleted_ones_only_as_such(
    graph: Graph,
) -> None:
    await engage(graph, did("u", "new"), did("u", "old"))
    states = [
        (("acme", "new"), Campaign(T0 + 2, title="N", intents=("pricing",))),
        (("acme", "old"), Campaign(T0 + 1, title="O", intents=("pricing", "x"))),
    ]
    await graph.change(*batches.campaigns(states, T0))
    intents = frozenset({("acme", "pricing"), ("acme", "x")})
    both = frozenset({("acme", "new"), ("acme", "old")})
    offers = await graph.offers(Wanted(both, intents, both))
    assert offers.targeting == {("acme", "pricing"): ("new", "old"), ("acme", "x"): ("old",)}
    assert [one.campaign_id for one in offers.shared["acme", "new"]] == ["old"]
    deleted = (("acme", "old"), Campaign(T0 + 5, True, "O", ("pricing",)))
    await graph.change(*batches.campaigns([deleted, states[1]], T0))
    await engage(graph, did("u", "old", hour=5))
    offers = await graph.offers(Wanted(both, intents, both))
    assert offers.targeting == {("acme", "pricing"): ("new",), ("acme", "x"): ()}
    assert offers.deleted == {("acme", "old")}
    assert offers.shared["acme", "new"] == ()


async def test_neighbours_of_who_speaks_or_engages_wait(graph: Graph) -> None:
    near = [(f"v{n:02}", 0.5 + n / 100) for n in range(30)]
    await hear(graph, said("u", 1, *near))
    assert set(await graph.waiting(100)) == {("acme", f"v{n:02}") for n in range(10, 30)}
    backlog = await graph.backlog()
    assert (backlog.waiting, backlog.oldest) == (20, T0)
    await engage(graph, did("v10", "c"))
    assert ("acme", "u") in await graph.waiting(100)
    assert len(await graph.waiting(5)) == 5


async def test_who_wants_what_a_campaign_is_for_waits(graph: Graph) -> None:
    await hear(graph, said("u", 1), said("v", 1), said("u", 1, tenant="other"))
    changed = (("acme", "c"), Campaign(T0, title="C", intents=("pricing",)))
    await graph.change(*batches.campaigns([changed], T0 + 7))
    assert sorted(await graph.waiting(9)) == [("acme", "u"), ("acme", "v")]
    assert (await graph.backlog()).oldest == T0 + 7


def published(key: Key, version: int, marks: int, read_at: int = T0) -> Affinity:
    return Affinity(key, version, read_at, (), (), 0, marks, f"shown {version}", True)


async def test_a_mark_is_taken_away_unless_it_was_set_again(graph: Graph) -> None:
    await hear(graph, said("u", 1, ("v", 0.9)))
    v = ("acme", "v")
    seen = (await graph.people([v]))[v]
    assert (seen.marks, seen.stale_at, seen.affinity_version, seen.shown) == (1, T0, 0, "")
    await engage(graph, did("u", "c"))
    await graph.remember([published(v, 10, seen.marks, T0 + 5)])
    again = (await graph.people([v]))[v]
    assert (again.marks, again.stale_at, again.affinity_version) == (2, T0 + 5, 10)
    await graph.remember([published(v, 9, again.marks)])
    last = (await graph.people([v]))[v]
    assert (last.stale_at, last.affinity_version, last.shown) == (0, 10, "shown 10")
    assert await graph.waiting(9) == []


async def test_nothing_is_remembered_of_users_who_are_not_there(graph: Graph) -> None:
    await graph.remember([published(("acme", "nobody"), 3, 0)])
    assert await graph.people([("acme", "nobody")]) == {}


async def forget(graph: Graph, user: str, at: int) -> None:
    await graph.change(*batches.forgettings([(("acme", user), at)], T0))


async def test_a_forgotten_user_is_gone_with_every_edge(graph: Graph) -> None:
    await hear(graph, said("u", 1, ("v", 0.9)))
    await engage(graph, did("u", "a"), did("u", "b"), did("v", "b"))
    held = ((("acme", "u"), "conversation"), Conversation(T0, "event", "file", 3))
    await graph.change(*batches.conversations([held]))
    await forget(graph, "u", T0 + HOUR)
    assert await graph.people([("acme", "u")]) == {}
    assert await names(graph, "v") == []
    offers = await graph.offers(Wanted(engaged=frozenset({("acme", "b")})))
    assert offers.shared["acme", "b"] == ()
    await hear(graph, said("w", 2, ("u", 0.9), ("v", 0.8)))
    assert await names(graph, "w") == ["v"]


async def test_what_is_older_than_the_forgetting_stays_out_and_newer_is_welcome(
    graph: Graph,
) -> None:
    await forget(graph, "u", T0 + HOUR)
    await engage(graph, did("u", "a"))
    await hear(graph, said("u", 1, ("v", 0.9)))
    assert await graph.people([("acme", "u")]) == {}
    await engage(graph, did("u", "b", hour=2))
    person = (await graph.people([("acme", "u")]))["acme", "u"]
    assert [campaign for campaign, _ in person.engaged] == ["b"]


async def test_what_came_after_the_forgetting_survives_it(graph: Graph) -> None:
    await hear(graph, said("u", 1, ("v", 0.9)))
    await engage(graph, did("u", "c"), did("u", "c", "converted", 2), did("u", "old"))
    await forget(graph, "u", T0 + HOUR)
    person = (await graph.people([("acme", "u")]))["acme", "u"]
    assert person.engaged == (("c", Times(0, 0, T0 + 2 * HOUR, 0)),)
    assert (person.neighbours, person.user.wants, person.user.version) == ((), (), 0)


async def test_what_was_taken_in_at_the_time_of_the_forgetting_goes_with_it(graph: Graph) -> None:
    key, at = ("acme", "u"), T0 + 1

    async def act() -> None:
        await hear(graph, said("u", 1, ("v", 0.9)))
        await engage(graph, replace(did("u", "a"), taken_at=at))
        await graph.change(*batches.conversations([((key, "talk"), Conversation(at, "event"))]))

    await act()
    await forget(graph, "u", at)
    assert await graph.people([key]) == {}
    await act()
    assert await graph.people([key]) == {}
    assert await names(graph, "v") == []
    await engage(graph, replace(did("u", "a"), taken_at=at + 1))
    assert [campaign for campaign, _ in (await graph.people([key]))[key].engaged] == ["a"]


async def test_of_a_user_who_did_something_since_what_was_taken_in_then_goes(graph: Graph) -> None:
    """The tie again, where the node stays."""
    key = ("acme", "u")
    await hear(graph, said("u", 1, ("v", 0.9)))
    await engage(graph, replace(did("u", "a"), taken_at=T0 + 1), did("u", "b", hour=1))
    held = [((key, name), Conversation(T0 + at, "event")) for name, at in (("x", 1), ("y", 2))]
    await graph.change(*batches.conversations(held))
    await forget(graph, "u", T0 + 1)
    person = (await graph.people([key]))[key]
    assert ([one for one, _ in person.engaged], person.neighbours) == (["b"], ())
    assert (person.user.wants, person.user.version) == ((), 0)
    kept = await conversations(graph, key, "x", "y")
    assert kept == {"y": Conversation(T0 + 2, "event")}


async def conversations(graph: Graph, user: Key, *ids: str) -> dict[str, Conversation]:
    """What the graph has of these."""
    found: dict[str, Conversation] = {}

    def look(region: Region) -> None:
        found.clear()
        found.update({edge[1]: one for edge, one in region.conversations.items()})

    edges = frozenset((user, one) for one in ids)
    await graph.change(Reach(users=frozenset({user}), conversations=edges), look)
    return found


async def test_what_was_taken_in_before_1970_is_taken_in_if_nobody_was_forgotten(
    graph: Graph,
) -> None:
    await engage(graph, replace(did("u", "a"), taken_at=-1))
    assert ("acme", "u") in await graph.people([("acme", "u")])
    await forget(graph, "u", T0)
    assert await graph.people([("acme", "u")]) == {}


ODD_TEXT = "a\x00b \ufffd ☕ '\"\\"


async def test_a_text_from_outside_may_have_any_character(graph: Graph) -> None:
    key = ("acme", "u")
    state = (("acme", "c"), Campaign(T0, title=ODD_TEXT, intents=("pricing",)))
    talk = Conversation(T0, ODD_TEXT, ODD_TEXT, 2**63 - 1)
    named = replace(answer(1, 1, 7), model=ODD_TEXT, domains=("x\x00y", "x\ufffdy"))
    for _ in range(2):
        await graph.change(*batches.campaigns([state], T0))
        await graph.change(*batches.conversations([((key, "talk"), talk)]))
        await graph.add_answers([named])
    kept = (await conversations(graph, key, "talk"))["talk"]
    assert kept.event_id.replace("\x00", "\ufffd") == ODD_TEXT.replace("\x00", "\ufffd")
    assert kept.line == talk.line
    offers = await graph.offers(Wanted(intents=frozenset({("acme", "pricing")})))
    assert offers.targeting["acme", "pricing"] == ("c",)


def answer(number: int, revision: int = 1, *brands: int) -> Answer:
    found = tuple(Named(UUID(int=brand), "named", 1, 0.5) for brand in brands)
    return Answer(
        "acme",
        UUID(int=number),
        revision,
        T0,
        UUID(int=1),
        "openai/gpt-5",
        False,
        found,
        ("x.example",),
    )


async def test_answers_are_taken_twice_without_harm(graph: Graph) -> None:
    await graph.add_answers([answer(1, 1, 7), answer(2, 1), answer(1, 2, 8, 9)])
    await graph.add_answers([answer(1, 1, 7), answer(1, 2, 8, 9)])
    await graph.add_answers([])
    assert await graph.healthy()


def random_change(rng: random.Random, step: int) -> batches.Change:
    now = T0 + step * HOUR
    tenant = rng.choice(TENANTS)
    many = range(rng.randint(1, 3))
    kind = rng.random()
    if kind < 0.4:
        return batches.statements([random_statement(rng, tenant, now) for _ in many], now)
    if kind < 0.75:
        return batches.engagements([random_engagement(rng, tenant, now) for _ in many], now)
    if kind < 0.85:
        states = [((tenant, rng.choice(CAMPAIGNS)), random_campaign(rng, now)) for _ in many]
        return batches.campaigns(states, now)
    if kind < 0.95:
        held = [
            (
                ((tenant, rng.choice(PEOPLE)), rng.choice("xy/")),
                Conversation(now - rng.randint(0, 50) * HOUR, str(rng.randint(0, 9)), "f", 1),
            )
            for _ in many
        ]
        return batches.conversations(held)
    asked = [((tenant, rng.choice(PEOPLE)), now - rng.randint(0, 30) * HOUR)]
    return batches.forgettings(asked, now)


def random_statement(rng: random.Random, tenant: str, now: int) -> Statement:
    version = now // HOUR - rng.randint(0, 20)
    near = [(user, round(rng.uniform(-1, 1), 3)) for user in rng.sample(PEOPLE, 3)]
    wants = [Wish(one, rng.random(), rng.random() < 0.5) for one in rng.sample(INTENTS, 2)]
    closest = [Nearness(rng.choice(CAMPAIGNS), rng.random())]
    at = version * HOUR
    return Statement(
        (tenant, rng.choice(PEOPLE)), version, at, at, tuple(near), tuple(wants), tuple(closest)
    )


def random_engagement(rng: random.Random, tenant: str, now: int) -> Engagement:
    taken = now - rng.randint(0, 20) * HOUR
    return Engagement(
        (tenant, rng.choice(PEOPLE)),
        rng.choice(CAMPAIGNS),
        rng.choice(Times._fields),
        taken - rng.randint(0, 9) * HOUR,
        taken,
    )


def random_campaign(rng: random.Random, now: int) -> Campaign:
    intents = tuple(sorted(rng.sample(INTENTS, rng.randint(0, 2))))
    return Campaign(now - rng.randint(0, 9) * HOUR, rng.random() < 0.2, rng.choice("AB"), intents)


async def everything(graph: Graph) -> dict[str, object]:
    """Piece by piece, so that a difference is easy to see."""
    campaigns = all_keys(CAMPAIGNS)
    people = await graph.people(all_keys(PEOPLE))
    offers = await graph.offers(Wanted(campaigns, all_keys(INTENTS), campaigns))
    return {
        **{f"person {key}": replace(person, marks=0) for key, person in people.items()},
        **{f"shared {key}": shared for key, shared in offers.shared.items()},
        **{f"targeting {key}": found for key, found in offers.targeting.items()},
        "deleted": offers.deleted,
        "waiting": set(await graph.waiting(1000)),
        "backlog": await graph.backlog(),
    }


@pytest.mark.parametrize("seed", range(6))
async def test_an_engine_agrees_with_the_one_in_memory(graph: Graph, seed: int) -> None:
    rng, memory = random.Random(seed), MemoryGraph()
    for step in range(60):
        change = random_change(rng, step)
        await memory.change(*change)
        await graph.change(*change)
        if step % 10 == 9:
            await check_remembered(rng, memory, graph, step)
            ours, theirs = await everything(graph), await everything(memory)
            assert ours.keys() == theirs.keys()
            for name, expected in theirs.items():
                assert ours[name] == expected, name


async def test_changes_at_the_same_time_lose_nothing(graph: Graph) -> None:
    """Two windows of one graph would count the users of two campaigns one too low."""
    done = [
        batches.engagements([did(user, campaign, hour=hour)], T0)
        for hour, campaign in enumerate(CAMPAIGNS)
        for user in PEOPLE
    ]
    spoken = [
        batches.statements([said(user, version, *((one, 0.5) for one in PEOPLE))], T0)
        for version, user in enumerate(PEOPLE, 1)
    ]
    memory = MemoryGraph()
    for change in (*done, *spoken):
        await memory.change(*change)
    await asyncio.gather(*(graph.change(*change) for change in (*spoken, *done)))
    ours, theirs = await everything(graph), await everything(memory)
    for name in ours.keys() - {"waiting", "backlog"}:
        assert without_marks(ours[name]) == without_marks(theirs[name]), name


def without_marks(piece: object) -> object:
    return replace(piece, stale_at=0) if isinstance(piece, Person) else piece


async def check_remembered(rng: random.Random, memory: Graph, graph: Graph, step: int) -> None:
    key, lag = (rng.choice(TENANTS), rng.choice(PEOPLE)), rng.randint(0, 1)
    for one in (memory, graph):
        person = (await one.people([key])).get(key)
        if person is not None:
            told = published(key, step, person.marks - lag, T0 + step * HOUR)
            await one.remember([told])
