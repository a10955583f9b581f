"""What is particular to the embedded engine: one file, opened once, that survives a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from graph_loader.adapters.ladybug import LadybugGraph
from graph_loader.adapters.ladybug_session import Session
from graph_loader.domain import batches
from graph_loader.domain.errors import GraphInUse, NewerGraph
from graph_loader.domain.models import Statement

pytestmark = pytest.mark.asyncio
NOW = 1_790_000_000_000_000


async def hear(graph: LadybugGraph, user: str, *near: str) -> None:
    said = Statement(("t", user), NOW, NOW, NOW, tuple((one, 0.5) for one in near))
    await graph.change(*batches.statements([said], NOW))


async def test_a_file_is_opened_once_in_a_process(tmp_path: Path) -> None:
    graph = await LadybugGraph.open(tmp_path / "graph")
    with pytest.raises(GraphInUse, match="in this process"):
        await LadybugGraph.open(tmp_path / "." / "graph")
    await graph.close()
    await graph.close()
    again = await LadybugGraph.open(tmp_path / "graph")
    await again.close()


async def test_what_is_stored_and_who_waits_is_there_after_a_restart(tmp_path: Path) -> None:
    graph = await LadybugGraph.open(tmp_path / "graph")
    await hear(graph, "u", "v", "w")
    before = await graph.people([("t", "u"), ("t", "v")])
    await graph.close()
    graph = await LadybugGraph.open(tmp_path / "graph")
    after = await graph.people([("t", "u"), ("t", "v")])
    assert after["t", "u"] == before["t", "u"]
    assert after["t", "v"].neighbours == before["t", "v"].neighbours
    assert set(await graph.waiting(9)) == {("t", "v"), ("t", "w")}
    assert (await graph.backlog()).oldest == NOW
    await graph.close()


CHILD = """
import asyncio, os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_graph_files import LadybugGraph, hear

async def run():
    graph = await LadybugGraph.open(Path({file!r}))
    for number in range(200):
        await hear(graph, f"u{{number}}", "v", f"w{{number}}")
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(run())
"""


async def test_what_was_stored_is_there_after_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "graph"
    code = CHILD.format(tests=str(Path(__file__).parent), file=str(file))
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == -signal.SIGKILL
    graph = await LadybugGraph.open(file)
    people = await graph.people([("t", f"u{number}") for number in range(200)])
    assert len(people) == 200
    assert all(len(person.neighbours) == 2 for person in people.values())
    await graph.close()


async def test_a_newer_graph_is_refused(tmp_path: Path) -> None:
    graph = await LadybugGraph.open(tmp_path / "graph")
    await graph.close()
    session = await Session.open(tmp_path / "graph")
    await session.run(lambda: session.rows("CREATE (:Migration {name: 'ladybug.9999.later'})"))
    await session.close()
    with pytest.raises(NewerGraph, match="later"):
        await LadybugGraph.open(tmp_path / "graph")


async def test_a_failed_change_leaves_nothing(tmp_path: Path) -> None:
    graph = await LadybugGraph.open(tmp_path / "graph")

    def fail(region: object) -> None:
        raise ValueError("on purpose")

    reach, _ = batches.statements([Statement(("t", "u"), 1, 1, 1)], NOW)
    with pytest.raises(ValueError, match="on purpose"):
        await graph.change(reach, fail)
    await hear(graph, "u", "v")
    assert len(await graph.people([("t", "u")])) == 1
    await graph.close()
