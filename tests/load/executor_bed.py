"""What every row stands on: PostgreSQL, a simulator and an executor as processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import asyncpg
import psutil
from devkit.child import die_with_parent
from devkit.embedded import EmbeddedPostgres
from devkit.ports import free_port
from devkit.running import UNANSWERED
from tests.load.executor_requests import Load, fill
from tests.load.measuring import Servers

EXECUTOR = (sys.executable, "-m", "llm_executor")
START_SECONDS = 60.0
STUCK_SECONDS = 60.0
POLL_SECONDS = 0.05
SAY_SECONDS = 10.0


class Stuck(RuntimeError):
    """Something did not happen in time; holds the end of the process's output."""


class Child:
    """A process that ends with this one and writes to a file."""

    def __init__(self, command: Sequence[str], output: Path, **environment: str) -> None:
        self._command = list(command)
        self._output = output
        self._environment = _clean() | environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. A Ctrl-C is for the parent, which ends its children in order."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock
            )

    def tell(self, line: str) -> None:
        """Write one line to its input."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL if that takes too long; its exit status."""
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, 40)
        finally:
            self.kill()
        return self._process.returncode

    async def ended(self) -> int:
        """Wait for its own end; its exit status."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def measured(self) -> psutil.Process:
        """Its CPU time and memory."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def cpu(self) -> float:
        """User and system seconds so far."""
        times = self.measured.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        """Resident bytes."""
        return int(self.measured.memory_info().rss)

    def output(self, characters: int = 4000) -> str:
        """The end of what it printed."""
        text = self._output.read_text(errors="replace") if self._output.exists() else ""
        return text[-characters:]

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


class Simulator(Child):
    """The provider simulator with its built-in truth and faults of its own."""

    def __init__(self, folder: Path, faults: Mapping[str, float]) -> None:
        self._port = free_port()
        config = folder / "simulator.toml"
        config.write_text(_config(faults))
        command = [sys.executable, "-m", "devkit.simulator", "--port", str(self._port)]
        super().__init__([*command, "--config", str(config)], folder / "simulator.out")
        self.url = f"http://127.0.0.1:{self._port}/v1"

    def stats(self) -> dict[str, Any]:
        """What it counted."""
        return dict(self._get("stats"))

    def repeated(self) -> int:
        """How many different requests were made more than once."""
        return len(self._get("calls?repeated=true")["calls"])

    async def wait(self) -> None:
        """Until it answers."""
        await until(lambda: _answers(f"http://127.0.0.1:{self._port}/_simulator/stats"), self)

    def _get(self, what: str) -> Any:
        with urlopen(f"http://127.0.0.1:{self._port}/_simulator/{what}", timeout=30) as answer:
            return json.loads(answer.read())


class Executor(Child):
    """The llm-executor on a log, a database and a simulator; may be started many times."""

    def __init__(
        self,
        folder: Path,
        dsn: str,
        simulator: Simulator,
        command: Sequence[str] = EXECUTOR,
        **settings: object,
    ) -> None:
        self._ops = free_port()
        own = {
            "log_url": f"local:{folder / 'log.sqlite'}",
            "postgres_dsn": dsn,
            "simulator_url": simulator.url,
            "sole_instance": True,
            "ops_host": "127.0.0.1",
            "ops_port": self._ops,
        }
        environment = {f"LIMELIGHT_{key}".upper(): str(to) for key, to in (own | settings).items()}
        super().__init__(command, folder / "executor.out", **environment)

    async def wait(self) -> None:
        """Until it says that it is ready."""
        await until(self.ready, self)

    def ready(self) -> bool:
        """Whether it says so."""
        return _answers(f"http://127.0.0.1:{self._ops}/readyz")


class Store:
    """The executor's table, as seen from outside. Counting must cost next to nothing."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection

    async def accepted(self) -> int:
        """Requests taken from the log so far; one that came twice counts twice."""
        return await self._sequence("completion_arrivals")

    async def written(self) -> int:
        """Ends written so far; one that was not the first, or not committed, counts, too."""
        return await self._sequence("completion_positions")

    async def ended(self) -> int:
        """Exactly how many have their end."""
        return await self._number("document IS NOT NULL") if await self.exists() else 0

    async def exists(self) -> bool:
        """Whether the executor has brought its database up to date."""
        return bool(
            await self.connection.fetchval("SELECT to_regclass('completion_arrivals') IS NOT NULL")
        )

    async def others(self) -> int:
        """How many clients beside us the server still has in this database."""
        return int(
            await self.connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        )

    async def done(self, count: int) -> bool:
        """Whether so many have their ends, and these were published."""
        if await self.written() < count or await self.ended() < count:
            return False
        return not await self._number("document IS NOT NULL AND published_at IS NULL")

    async def outcomes(self) -> dict[str, int]:
        """How many ended how: answered, or the kind of failure."""
        rows = await self.connection.fetch(
            "SELECT coalesce((document -> 'event' -> 'failure') ->> 'kind', outcome) AS outcome, "
            "count(*) AS n FROM completions WHERE document IS NOT NULL GROUP BY 1"
        )
        return {row["outcome"]: row["n"] for row in rows}

    async def ended_at(self, share: float) -> float:
        """When this share of all had ended, in Unix seconds."""
        return float(
            await self.connection.fetchval(
                "SELECT percentile_disc($1::float8) WITHIN GROUP "
                "(ORDER BY extract(epoch FROM finished_at)::float8) FROM completions",
                share,
            )
        )

    async def _number(self, condition: str) -> int:
        return int(
            await self.connection.fetchval(f"SELECT count(*) FROM completions WHERE {condition}")
        )

    async def _sequence(self, name: str) -> int:
        try:
            return int(
                await self.connection.fetchval(
                    f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {name}"
                )
            )
        except asyncpg.UndefinedTableError:  # it has not brought its database up to date yet
            return 0


@dataclass(frozen=True)
class Rig:
    """One simulator and one executor with its log and its database."""

    folder: Path
    simulator: Simulator
    executor: Executor
    store: Store

    async def until_begun(self) -> None:
        """Until the first requests are taken from the log, seen within some milliseconds."""
        end = time.monotonic() + START_SECONDS
        while not await self.store.accepted():
            if not self.executor.alive or time.monotonic() > end:
                raise Stuck(f"took no request:\n{self.executor.output()}")
            await asyncio.sleep(0.005)

    async def until_done(self, count: int, what: str) -> None:
        """Until all are through. Raises Stuck if nothing happens any more."""
        seen, moved, said = 0, time.monotonic(), time.monotonic()
        while not await self.store.done(count):
            now, written = time.monotonic(), await self.store.written()
            if written != seen:
                seen, moved = written, now
            if not self.executor.alive or now - moved > STUCK_SECONDS:
                raise Stuck(f"{what}: {written:,} of {count:,} ended\n{self.executor.output()}")
            if now - said > SAY_SECONDS:
                said = now
                say(f"  {what}: {written:,} of {count:,} ended")
            await asyncio.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Bed:
    """PostgreSQL in a folder; every rig has a folder and a database of its own."""

    folder: Path
    postgres: EmbeddedPostgres

    @property
    def servers(self) -> Servers:
        """PostgreSQL's CPU time."""
        return Servers(self.folder / "postgres")

    @asynccontextmanager
    async def simulator(self, name: str, faults: Mapping[str, float]) -> AsyncIterator[Simulator]:
        """A simulator that runs, in the folder ``name``, which is gone afterwards."""
        folder = self.folder / name
        folder.mkdir()
        simulator = Simulator(folder, faults)
        try:
            simulator.start()
            await simulator.wait()
            yield simulator
        finally:
            simulator.kill()
            shutil.rmtree(folder)

    @asynccontextmanager
    async def rig(
        self,
        name: str,
        load: Load,
        faults: Mapping[str, float],
        command: Sequence[str] = EXECUTOR,
        **settings: object,
    ) -> AsyncIterator[Rig]:
        """A simulator that runs, and an executor that is not started yet."""
        async with self.simulator(name, faults) as simulator:
            folder = self.folder / name
            await fill(folder / "log.sqlite", load)
            dsn = await self.postgres.database(name)
            executor = Executor(folder, dsn, simulator, command, **settings)
            connection = await asyncpg.connect(dsn)
            try:
                yield Rig(folder, simulator, executor, Store(connection))
            finally:
                executor.kill()
                await connection.close()


@asynccontextmanager
async def bed(folder: Path) -> AsyncIterator[Bed]:
    """Start PostgreSQL, and stop it at the end, however that comes."""
    postgres = await EmbeddedPostgres.start(folder / "postgres")
    try:
        yield Bed(folder, postgres)
    finally:
        await postgres.stop()


async def until(condition: Any, child: Child, seconds: float = START_SECONDS) -> None:
    """Poll a condition that blocks for moments. Raises Stuck."""
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        if not child.alive or time.monotonic() > end:
            raise Stuck(f"did not come up:\n{child.output()}")
        await asyncio.sleep(POLL_SECONDS)


def say(line: str) -> None:
    """A line of progress."""
    print(line, flush=True)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=3) as answer:
            return bool(answer.status == 200)
    except UNANSWERED:
        return False


def _clean() -> dict[str, str]:
    """The environment without what would change the executor, or let it call real providers."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LIMELIGHT_") and not name.endswith("_API_KEY")
    }


def _config(faults: Mapping[str, float]) -> str:
    truth = files("devkit.simulator").joinpath("default.toml").read_text()
    lines = [f"{name} = {float(value)}" for name, value in faults.items()]
    return "\n".join([truth, "[faults]", *lines, ""])
