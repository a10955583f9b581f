"""All rows of the table, in one run, each backend against its own bare row."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from logging import CRITICAL, getLogger
from pathlib import Path
from typing import Protocol

from contracts.events.completion import CompletionFinished
from contracts.topics import Topic
from devkit.embedded import EmbeddedPostgres
from devkit.servers.kafka import KafkaServer, ServerUnavailable
from runtime import logging, tracing
from tests.load.backends import Backend, Kafka, kafka_backend, local_backend
from tests.load.bare import bare_aiokafka, bare_log, faststream, faststream_acking
from tests.load.markdown import table
from tests.load.measuring import Limits, Servers, Taken, take
from tests.load.pipeline import pipeline
from tests.load.stage_table import Profile, stage_table
from tests.load.stores import dict_kit, postgres_kit
from tests.load.workload import BATCH, Route, create, fill, route, source_topic

DEFAULT = Limits(batched=20_000, single=5_000, seconds=10.0, rounds=2)
SHORT = Limits(batched=1_000, single=200, seconds=3.0, rounds=1)
_HEADINGS = (
    "log", "mode", "what", "records", "seconds", "records/s", "of bare",
    "CPU µs/record", "servers' CPU µs/record",
)  # fmt: skip


class Start(Protocol):
    """Starts what a row measures."""

    def __call__(self, route: Route, max_records: int) -> AbstractAsyncContextManager[None]: ...


@dataclass(frozen=True)
class Mode:
    """One by one or batched: which topic to read, and how many records at a time."""

    name: str
    source: Topic[CompletionFinished]
    count: int
    max_records: int
    rounds: int


@dataclass
class Bench:
    """One backend with everything the rows need; collects what they took."""

    backend: Backend
    postgres: EmbeddedPostgres
    servers: Servers
    limits: Limits
    rows: list[tuple[Mode, str, Taken]] = field(default_factory=list)
    stages: list[tuple[str, ...]] = field(default_factory=list)

    async def run(self) -> None:
        """All rows of this backend: the bare one of a mode first."""
        for mode in self._modes():
            await fill(self.backend.log, mode.source, mode.count)
            await self._rows(mode)
        await self._profile(self._modes()[0])

    def _modes(self) -> tuple[Mode, Mode]:
        batched = Mode(
            "batched", source_topic("batched"), self.limits.batched, BATCH, self.limits.rounds
        )
        single = Mode("one by one", source_topic("single"), self.limits.single, 1, 1)
        return batched, single

    def _starts(self, mode: Mode) -> Iterator[tuple[str, Start]]:
        if isinstance(self.backend, Kafka):
            yield "bare aiokafka", partial(bare_aiokafka, self.backend.bootstrap_servers)
            yield "FastStream, defaults", partial(faststream, self.backend.bootstrap_servers)
            yield (
                "FastStream, ack policy ACK",
                partial(faststream_acking, self.backend.bootstrap_servers),
            )
        else:
            yield "bare log", partial(bare_log, self.backend.log)
        yield "pipeline, store in memory", self._on_memory
        yield "pipeline, PostgreSQL", self._on_postgres
        if mode.max_records > 1:
            yield "pipeline, PostgreSQL, gc.freeze", self._frozen

    @asynccontextmanager
    async def _on_memory(self, route: Route, max_records: int) -> AsyncIterator[None]:
        async with pipeline(self.backend.log, route, await dict_kit(), max_records):
            yield

    @asynccontextmanager
    async def _on_postgres(self, route: Route, max_records: int) -> AsyncIterator[None]:
        kit = await postgres_kit(self.postgres, self._database(route))
        async with pipeline(self.backend.log, route, kit, max_records):
            yield

    async def _rows(self, mode: Mode) -> None:
        """Round after round through all rows, so that what disturbs one disturbs its rivals."""
        best: dict[str, Taken] = {}
        for turn in range(mode.rounds):
            for what, start in self._starts(mode):
                taken = await self._take(mode, what, start, turn)
                best[what] = max(taken, best.get(what, taken), key=lambda one: one.rate)
                _say(f"{self.backend.name}, {mode.name}, {what}: {taken.rate:,.0f} records/s")
        self.rows += [(mode, what, taken) for what, taken in best.items()]

    @asynccontextmanager
    async def _frozen(self, route: Route, max_records: int) -> AsyncIterator[None]:
        """The garbage collector no longer looks at what was there before the first record."""
        async with self._on_postgres(route, max_records):
            gc.collect()
            gc.freeze()
            try:
                yield
            finally:
                gc.unfreeze()

    async def _take(self, mode: Mode, what: str, start: Start, turn: int = 0) -> Taken:
        text = f"{mode.name} {what} {'abc'[turn]}"
        name = "-".join(re.findall("[a-z]+", text.lower()))
        through = route(name, mode.source)
        await create(self.backend.log, through.target)
        async with self.backend.counting(through.target) as written:
            running = start(through, mode.max_records)
            return await take(running, written, mode.count, self.limits.seconds, self.servers)

    async def _profile(self, mode: Mode) -> None:
        profile = Profile()

        @asynccontextmanager
        async def start(route: Route, max_records: int) -> AsyncIterator[None]:
            assert max_records == BATCH
            kit = await postgres_kit(self.postgres, self._database(route))
            async with profile.started(self.backend.log, route, kit):
                yield

        taken = await self._take(mode, "profiled", start)
        _say(f"{self.backend.name}, {mode.name}, with timers: {taken.rate:,.0f} records/s")
        self.stages = stage_table(profile, taken)

    def _database(self, route: Route) -> str:
        return f"{self.backend.name} {route.name}"

    def lines(self) -> Iterator[tuple[str, ...]]:
        """The rows as text."""
        bare: dict[str, float] = {}
        for mode, what, taken in self.rows:
            ratio = taken.rate / bare.setdefault(mode.name, taken.rate)
            yield (
                self.backend.name, mode.name, what, f"{taken.records:,}", f"{taken.seconds:.2f}",
                f"{taken.rate:,.0f}", f"{ratio:.3f}", f"{taken.per_record(taken.own_cpu):.0f}",
                f"{taken.per_record(taken.server_cpu):.0f}",
            )  # fmt: skip


async def measure(limits: Limits, folder: Path) -> list[Bench]:
    """Both backends, one after the other. Kafka is left out, with a line, where it cannot run."""
    servers = Servers(folder)
    benches: list[Bench] = []
    postgres = await EmbeddedPostgres.start(folder / "postgres")
    try:
        async with local_backend(folder) as local:
            benches.append(Bench(local, postgres, servers, limits))
            await benches[-1].run()
        with await asyncio.to_thread(KafkaServer.start, folder / "kafka") as server:
            async with kafka_backend(server.bootstrap_servers) as kafka:
                benches.append(Bench(kafka, postgres, servers, limits))
                await benches[-1].run()
    except ServerUnavailable as missing:
        print(f"Kafka rows left out: {missing}")
    finally:
        await postgres.stop()
    return benches


def show(benches: list[Bench]) -> None:
    """Print the tables."""
    print()
    print(table([_HEADINGS, *(line for bench in benches for line in bench.lines())]))
    for bench in benches:
        print(f"\nWhere the time goes: {bench.backend.name}, batched, PostgreSQL\n")
        print(table(bench.stages))


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Records per second through the bus.")
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes")
    limits = SHORT if parser.parse_args().short else DEFAULT
    logging.configure("load", "ERROR")
    # A new broker has no coordinator for a moment, which aiokafka calls an error.
    getLogger("aiokafka").setLevel(CRITICAL)
    tracing.configure("load", None)
    _say("load average before: {:.2f} {:.2f} {:.2f}".format(*os.getloadavg()))
    with tempfile.TemporaryDirectory(prefix="limelight-load-") as folder:
        benches = asyncio.run(measure(limits, Path(folder)))
    show(benches)


def _say(line: str) -> None:
    print(line, flush=True)
