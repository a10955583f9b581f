"""What stands in each engine, asked in its own language."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import asyncpg
import pytest
from bus.errors import Unavailable
from devkit.embedded import EmbeddedPostgres
from devkit.ports import free_port
from graph_loader.adapters.neo4j import Neo4jGraph
from graph_loader.adapters.postgres import PostgresGraph
from graph_loader.domain import batches
from graph_loader.domain.errors import NewerGraph
from graph_loader.domain.models import (
    Answer,
    Campaign,
    Conversation,
    Engagement,
    Named,
    Statement,
    Wish,
)
from graph_loader.domain.ports import Graph
from neo4j import AsyncGraphDatabase

pytestmark = pytest.mark.asyncio
NOW = 1_790_000_000_000_000
FIRST, SECOND = UUID(int=1), UUID(int=2)
BRANDS = UUID(int=7), UUID(int=8)
Found = list[tuple[object, ...]]


def answer(completion: UUID, revision: int, *names: Named, tenant: str = "acme") -> Answer:
    domains = ("x.example", "y.example")[: len(names)]
    return Answer(tenant, completion, revision, NOW, FIRST, "openai/gpt-5", True, names, domains)


ANSWERS = (
    answer(FIRST, 1, Named(BRANDS[0], "denied")),
    answer(FIRST, 2, Named(BRANDS[0], "named", 1, 0.5), Named(BRANDS[1], "recommended", 2)),
    answer(SECOND, 1),
    answer(FIRST, 1, Named(BRANDS[0], "cited"), tenant="other"),
)
EXPECTED: Found = [
    ("acme", str(FIRST), 2, str(BRANDS[0]), "named", 1, 0.5),
    ("acme", str(FIRST), 2, str(BRANDS[1]), "recommended", 2, None),
    ("other", str(FIRST), 1, str(BRANDS[0]), "cited", None, None),
]
CITED: Found = [
    ("acme", str(FIRST), "x.example"),
    ("acme", str(FIRST), "y.example"),
    ("other", str(FIRST), "x.example"),
]
NAMES = (
    "MATCH (a:Answer)-[n:NAMES]->(b:Brand) RETURN a.tenant, a.completion_id, a.revision, "
    "b.brand_id, n.outcome, n.rank, n.sentiment ORDER BY a.tenant, b.brand_id"
)
CITES = (
    "MATCH (a:Answer)-[:CITES]->(d:Domain) RETURN a.tenant, a.completion_id, d.name "
    "ORDER BY a.tenant, d.name"
)
ASKED = (
    "MATCH (m:Model)<-[:BY]-(a:Answer)-[:TO]->(p:Prompt) "
    "RETURN a.tenant, m.name, p.prompt_id, count(a) ORDER BY a.tenant"
)
ASKED_OF: Found = [
    ("acme", "openai/gpt-5", str(FIRST), 2),
    ("other", "openai/gpt-5", str(FIRST), 1),
]


async def fill(graph: Graph) -> None:
    for one in (*ANSWERS, *reversed(ANSWERS)):
        await graph.add_answers([one])
    await graph.add_answers(ANSWERS)


async def live_and_be_forgotten(graph: Graph) -> None:
    """Somebody who speaks, wants, holds conversations and engages, and whom others name."""
    me, other = ("acme", "secret-person"), ("acme", "v")
    said = [
        Statement(me, NOW, NOW, NOW, (("v", 0.5),), (Wish("pricing", 0.5),)),
        Statement(other, NOW + 1, NOW + 1, NOW + 1, (("secret-person", 0.6),)),
    ]
    await graph.change(*batches.statements(said, NOW))
    done = [Engagement(me, one, "clicked", NOW, NOW) for one in ("a", "b")]
    await graph.change(*batches.engagements(done, NOW))
    held = [((me, "talk"), Conversation(NOW, "event", "file.jsonl", 3))]
    await graph.change(*batches.conversations(held))
    await graph.change(*batches.forgettings([(me, NOW + 9)], NOW + 9))
    late = Statement(other, NOW + 20, NOW + 20, NOW + 20, (("secret-person", 0.6),))
    await graph.change(*batches.statements([late], NOW))


async def test_on_neo4j(neo4j_url: str) -> None:
    async with AsyncGraphDatabase.driver(neo4j_url) as driver:
        await driver.execute_query("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
        graph = await Neo4jGraph.connect(neo4j_url)

        async def ask(query: str) -> Found:
            return [tuple(record) for record in (await driver.execute_query(query)).records]

        await check(graph, ask)
        everything = await ask("MATCH (n) RETURN [name IN keys(n) | toString(n[name])]")
        assert "secret-person" not in str(everything)
        assert await ask("MATCH (c:Conversation) RETURN c") == []
        await graph.close()


@pytest.fixture
def dsn(postgres: EmbeddedPostgres) -> Callable[[], Awaitable[str]]:
    return lambda: postgres.database(f"graph_{uuid4().hex}")


SQL = {
    NAMES: "SELECT a.tenant, completion_id::text, revision, brand_id::text, outcome, rank, "
    "sentiment FROM answers a JOIN names ON answer_no = no ORDER BY a.tenant, brand_id",
    CITES: "SELECT a.tenant, completion_id::text, domain "
    "FROM answers a JOIN cites ON answer_no = no ORDER BY a.tenant, domain",
    ASKED: "SELECT tenant, model, prompt_id::text, count(*) FROM answers "
    "GROUP BY 1, 2, 3 ORDER BY tenant",
}


async def test_on_postgres(dsn: Callable[[], Awaitable[str]]) -> None:
    address = await dsn()
    graph = await PostgresGraph.connect(address, "graph-loader tests")
    connection = await asyncpg.connect(address)

    async def ask(query: str) -> Found:
        return [tuple(row) for row in await connection.fetch(SQL.get(query, query))]

    await check(graph, ask)
    tables = await ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in tables:
        assert "secret-person" not in str(await ask(f"SELECT * FROM {table}"))
    assert await ask("SELECT * FROM conversations") == []
    await graph.change(*batches.campaigns([(("t", "c"), Campaign(1, title="a\x00b"))], NOW))
    assert await ask("SELECT title FROM campaigns WHERE tenant = 't'") == [("a\ufffdb",)]
    await connection.close()
    await graph.close()


async def check(graph: Graph, ask: Callable[[str], Awaitable[Found]]) -> None:
    await fill(graph)
    assert await ask(NAMES) == EXPECTED
    assert await ask(CITES) == CITED
    assert await ask(ASKED) == ASKED_OF
    await live_and_be_forgotten(graph)
    people = await graph.people([("acme", "secret-person"), ("acme", "v")])
    assert [(key, person.neighbours) for key, person in people.items()] == [(("acme", "v"), ())]


async def test_neo4j_that_is_down_is_waited_for() -> None:
    with pytest.raises(Unavailable, match="Neo4j"):
        await Neo4jGraph.connect(f"bolt://127.0.0.1:{free_port()}")


async def test_a_newer_graph_on_neo4j_is_refused(neo4j_url: str) -> None:
    async with AsyncGraphDatabase.driver(neo4j_url) as driver:
        await (await Neo4jGraph.connect(neo4j_url)).close()
        await driver.execute_query("CREATE (:Migration {name: 'neo4j.9999.later'})")
        with pytest.raises(NewerGraph, match="later"):
            await Neo4jGraph.connect(neo4j_url)
        await driver.execute_query("MATCH (m:Migration {name: 'neo4j.9999.later'}) DELETE m")
