"""Calls per second and CPU per call: the executor, the SDK alone, and LiteLLM."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.load.executor_bed import Bed, Child, Simulator, Stuck, say
from tests.load.executor_requests import Load
from tests.load.markdown import table

IN_FLIGHT = 512
FAULTS = {"latency_s": 0.2}
PEER = Path(__file__).resolve().parents[2] / ".bench" / "bin" / "python"
_CLIENT = str(Path(__file__).with_name("executor_client.py"))
_HEADINGS = (
    "what", "calls", "seconds", "calls/s", "of the SDK's", "CPU ms/call", "times the SDK's",
    "simulator's CPU ms/call", "PostgreSQL's CPU ms/call", "most at once",
)  # fmt: skip
_NOTE = (
    "Each row makes the same calls in a process of its own. The SDKs run on uvloop, keep "
    "nothing and try nothing again. The llm-executor takes requests from its log, queues, claims, "
    "calls, records and publishes; its clock runs from the first request taken to the last end "
    "published. CPU is that of the process, with all its threads."
)


@dataclass(frozen=True)
class Taken:
    """What ``calls`` took; CPU in seconds."""

    what: str
    calls: int
    seconds: float
    cpu: float
    simulator_cpu: float
    server_cpu: float
    at_once: int

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds

    def each(self, cpu: float) -> float:
        """Milliseconds per call."""
        return 1000 * cpu / self.calls


async def throughput(bed: Bed, *, short: bool) -> str:
    """The rows as a table. Round after round, so that what disturbs one disturbs its rivals."""
    count, rounds = (3_000, 1) if short else (20_000, 2)
    best: dict[str, Taken] = {}
    missing: list[str] = []
    for turn in range(rounds):
        found = [await _client(bed, "openai", sys.executable, count, turn)]
        found.append(await _executor(bed, count, turn))
        if PEER.exists():
            found.append(await _client(bed, "litellm", str(PEER), count, turn))
        else:
            missing = ["litellm SDK: not measured, `make bench-executor` installs it into .bench"]
        for name, taken in zip(("sdk", "executor", "peer"), found, strict=False):
            best[name] = max(taken, best.get(name, taken), key=lambda one: one.rate)
    return "\n\n".join([table([_HEADINGS, *_lines(list(best.values()))]), *missing, _NOTE])


def _lines(rows: list[Taken]) -> Iterator[tuple[str, ...]]:
    sdk = rows[0]
    for row in rows:
        yield (
            row.what, f"{row.calls:,}", f"{row.seconds:.1f}", f"{row.rate:,.0f}",
            f"{row.rate / sdk.rate:.2f}", f"{row.each(row.cpu):.2f}",
            f"{row.each(row.cpu) / sdk.each(sdk.cpu):.2f}", f"{row.each(row.simulator_cpu):.2f}",
            f"{row.each(row.server_cpu):.2f}", f"{row.at_once}",
        )  # fmt: skip


async def _executor(bed: Bed, count: int, turn: int) -> Taken:
    """The clock runs from the first request taken to the last end published."""
    async with bed.rig(f"throughput-{turn}", Load(count), FAULTS, max_in_flight=IN_FLIGHT) as rig:
        rig.executor.start()
        await rig.until_begun()
        before = _clocks(bed, rig.simulator, rig.executor)
        await rig.until_done(count, "llm-executor")
        after = _clocks(bed, rig.simulator, rig.executor)
        outcomes = await rig.store.outcomes()
        if outcomes != {"answered": count}:
            raise Stuck(f"not all were answered: {outcomes}\n{rig.executor.output()}")
        seconds, cpu, simulator, server = (b - a for a, b in zip(before, after, strict=True))
        at_once = int(rig.simulator.stats()["max_concurrency"])
        await rig.executor.stop()
    return _said(Taken("llm-executor", count, seconds, cpu, simulator, server, at_once))


def _clocks(bed: Bed, simulator: Simulator, executor: Child) -> tuple[float, float, float, float]:
    return time.perf_counter(), executor.cpu(), simulator.cpu(), bed.servers.cpu()


async def _client(bed: Bed, kind: str, python: str, count: int, turn: int) -> Taken:
    """One SDK with so many tasks; imports and start are before its clock."""
    async with bed.simulator(f"{kind}-{turn}", FAULTS) as simulator:
        output = bed.folder / f"{kind}-{turn}" / "client.out"
        command = [python, "-P", _CLIENT, kind, simulator.url, str(count), str(IN_FLIGHT)]
        client = Child(command, output)
        simulated = simulator.cpu()
        client.start()
        try:
            if await client.ended() != 0:
                raise Stuck(f"the {kind} client failed:\n{client.output()}")
        finally:
            client.kill()
        found = json.loads(client.output().splitlines()[-1])
        if found["answered"] != count:
            raise Stuck(f"the {kind} client got {found['answered']} answers of {count}")
        what = f"{kind} SDK {found['version']} alone"
        cpu, at_once = simulator.cpu() - simulated, int(simulator.stats()["max_concurrency"])
        return _said(Taken(what, count, found["seconds"], found["cpu"], cpu, 0.0, at_once))


def _said(taken: Taken) -> Taken:
    say(f"{taken.what}: {taken.rate:,.0f} calls/s, {taken.each(taken.cpu):.2f} ms CPU per call")
    return taken
