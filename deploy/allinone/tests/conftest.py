"""``limelight`` against a gateway that runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from allinone.cli import app
from bus.local import LocalLog
from bus.provision import specs
from devkit.embedded import EmbeddedPostgres, EmbeddedRedis
from gateway.app import build
from gateway.domain.rules import new_secret
from gateway.settings import Settings
from pydantic import SecretStr
from runtime.deadline import Deadline
from runtime.server import HttpServer
from typer.testing import CliRunner, Result

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Where the gateway runs, while commands wait for it as they do: blocking."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


@pytest.fixture(scope="session")
def bootstrap() -> str:
    return new_secret()


@pytest.fixture(scope="session")
def url(
    postgres: EmbeddedPostgres,
    loop: asyncio.AbstractEventLoop,
    tmp_path_factory: pytest.TempPathFactory,
    bootstrap: str,
) -> Iterator[str]:
    """A gateway as its composition root builds it."""
    folder = tmp_path_factory.mktemp("commands")

    async def started() -> tuple[str, Callable[[], None]]:
        redis = await EmbeddedRedis.start(folder / "redis")
        log = await LocalLog.open(folder / "log.sqlite")
        await log.create_topics(specs())
        settings = Settings(
            postgres_dsn=await postgres.database("account_commands"),
            redis_url=redis.url,
            host="127.0.0.1",
            port=0,
            bootstrap_key=SecretStr(bootstrap),
        )
        service = await build(settings, log)
        await service.start()
        (server,) = [part for part in service.components if isinstance(part, HttpServer)]

        async def stop() -> None:
            await service.stop(Deadline(10))
            await log.close()
            await redis.stop()

        return server.url, lambda: asyncio.run_coroutine_threadsafe(stop(), loop).result(20)

    where, stop = asyncio.run_coroutine_threadsafe(started(), loop).result(60)
    yield where
    stop()


@pytest.fixture
def limelight(url: str, bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("LIMELIGHT_URL", url)
    monkeypatch.setenv("LIMELIGHT_API_KEY", bootstrap)
    monkeypatch.setenv("COLUMNS", "250")
    for console in ("out", "err"):
        monkeypatch.setattr(f"allinone.cli.shell.{console}._width", 250)

    def run(*arguments: str, key: str | None = None, status: int = 0) -> Result:
        environment = {} if key is None else {"LIMELIGHT_API_KEY": key}
        result = CliRunner().invoke(app, arguments, env=environment)
        assert result.exit_code == status, result.output
        return result

    return run
