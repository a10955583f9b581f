"""What the tests of delivery share: servers, stores, and the toy service's module."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

pytest.register_assert_rewrite("devkit.conformance.store")

from bus.local import LocalLog  # noqa: E402
from bus.migrate import migrate  # noqa: E402
from devkit.embedded import EmbeddedPostgres  # noqa: E402
from devkit.servers.kafka import KafkaServer  # noqa: E402
from devkit.servers.local import ServerUnavailable  # noqa: E402
from libs.bus.tests.toy_delivery import ALL_TOPICS  # noqa: E402
from libs.bus.tests.toy_stores import BOOKING, Kit, MemoryKit, PostgresKit, Server  # noqa: E402


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the bus's own: some tests take it away and bring it back."""
    with tempfile.TemporaryDirectory(prefix="limelight-") as folder:
        yield from _served(Path(folder) / "postgres", tmp_path_factory.mktemp("migrations"))


def _served(folder: Path, migrations: Path) -> Iterator[Server]:
    (migrations / "0001.booking.sql").write_text(BOOKING)

    async def start() -> str:
        dsn = await (await EmbeddedPostgres.start(folder)).database("toy")
        await migrate(dsn, migrations)
        return dsn

    async def stop() -> None:
        # A test may have started it again since: the first handle would stop what is gone.
        await (await EmbeddedPostgres.start(folder)).stop()

    dsn = asyncio.run(start())
    yield Server(folder, dsn)
    asyncio.run(stop())


@pytest_asyncio.fixture
async def postgres_kit(postgres: Server) -> AsyncIterator[PostgresKit]:
    """An empty store of the toy service on PostgreSQL."""
    kit = await PostgresKit.create(postgres.dsn)
    yield kit
    await kit.drop()


@pytest.fixture
def memory_kit() -> MemoryKit:
    """An empty store of the toy service in memory."""
    return MemoryKit()


@pytest.fixture(params=["memory", "postgres"])
def kit(request: pytest.FixtureRequest) -> Kit:
    """An empty store of the toy service, one backend after the other."""
    found: Kit = request.getfixturevalue(f"{request.param}_kit")
    return found


@pytest.fixture
def quick_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops that look up often, so that stopping a service keeps no test waiting."""
    monkeypatch.setattr("bus.batch_consumer.POLL_SECONDS", 0.02)
    for constant in ("IDLE_SECONDS", "STANDBY_SECONDS"):
        monkeypatch.setattr(f"bus.relay.{constant}", 0.02)


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    """A local log with the toy service's topics and DLQs; a power cut is not what is tested."""
    opened = await LocalLog.open(tmp_path / "log.db", sync="normal")
    await opened.create_topics(ALL_TOPICS)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker for all; a test that kills it starts it again."""
    try:
        started = KafkaServer.start(tmp_path_factory.mktemp("kafka"))
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    with started:
        yield started
