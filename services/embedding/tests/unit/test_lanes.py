"""The model in threads: batches, memory, priority, and an event loop that goes on meanwhile."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from embedding.adapters.lanes import AT_ONCE, REMEMBERED, Lanes
from numpy.typing import NDArray
from runtime import crash
from runtime.deadline import Deadline

pytestmark = pytest.mark.asyncio
PATIENCE = 60.0


class Slow:
    """Takes its time, and notes who asks for what."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.priorities: set[int] = set()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.batches.append(list(texts))
        self.threads.add(threading.current_thread().name)
        self.priorities.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        time.sleep(self.seconds)
        return np.array([[len(text), 1] for text in texts], dtype=np.float32).reshape(-1, 2)

    def says(self, text: str) -> bool:
        return text != "☕"


class Held(Slow):
    """Takes until it is let go with the text "a"."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.go_on = threading.Event(), threading.Event()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if "a" in texts:
            self.inside.set()
            assert self.go_on.wait(PATIENCE)
        return super().embed(texts)


async def test_every_text_gets_its_own_vector_in_its_place() -> None:
    lane = Lanes("m@1", Slow).lane("x")
    found = await lane.embed("message", ["a", "bb", "☕", "a", "", "日本"])
    assert [None if each is None else float(each[0]) for each in found] == [1, 2, None, 1, 0, 2]
    assert await lane.embed("message", []) == []
    assert lane.model == "m@1"


async def test_equal_texts_are_embedded_once() -> None:
    model = Slow()
    lane = Lanes("m@1", lambda: model).lane("x")
    await lane.embed("message", ["hello", "hello", "tea"])
    await lane.embed("answer", ["tea", "hello", "☕"])
    await lane.embed("answer", ["☕"])
    assert sorted(text for batch in model.batches for text in batch) == ["hello", "tea"]


async def test_memory_has_an_end() -> None:
    model = Slow()
    lane = Lanes("m@1", lambda: model).lane("x")
    await lane.embed("message", [f"text {at}" for at in range(REMEMBERED + 1)])
    assert len(lane._known) == REMEMBERED
    model.batches.clear()
    await lane.embed("message", ["text 0", f"text {REMEMBERED}"])
    assert model.batches == [["text 0"]]


async def test_what_is_known_when_it_is_asked_for_may_be_forgotten_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("embedding.adapters.lanes.REMEMBERED", 2)
    model = Slow()
    lane = Lanes("m@1", lambda: model).lane("x")
    await lane.embed("message", ["known"])
    model.seconds = 0.1
    first = asyncio.create_task(lane.embed("message", ["a", "b", "c"]))
    await asyncio.sleep(0)
    found = await lane.embed("message", ["known", "new"])
    assert [None if each is None else float(each[0]) for each in found] == [5, 3]
    await first


async def test_texts_go_through_the_model_together_but_not_too_many() -> None:
    model = Slow()
    lane = Lanes("m@1", lambda: model).lane("x")
    texts = [f"text {at}" for at in range(AT_ONCE * 2)]
    halves = texts[:AT_ONCE], texts[AT_ONCE:]
    await asyncio.gather(*(lane.embed("message", half) for half in halves))
    assert [len(batch) for batch in model.batches] == [AT_ONCE, AT_ONCE]


async def test_the_loop_goes_on_while_the_model_works() -> None:
    held = Held()
    lane = Lanes("m@1", lambda: held).lane("x")
    work = asyncio.create_task(lane.embed("message", ["a"]))
    assert await asyncio.to_thread(held.inside.wait, PATIENCE)
    assert not work.done()  # on the loop itself it would have been waited for
    held.go_on.set()
    await work


async def test_a_busy_lane_keeps_no_other_waiting() -> None:
    held = Held()
    lanes = Lanes("m@1", lambda: held)
    busy, free = lanes.lane("answers", idle=True), lanes.lane("searches")
    work = asyncio.create_task(busy.embed("answer", ["a"]))
    assert await asyncio.to_thread(held.inside.wait, PATIENCE)
    await free.embed("query", ["q"])
    assert not work.done()
    held.go_on.set()
    await work


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="threads have priorities on Linux only")
async def test_an_idle_lane_works_when_nobody_else_wants_to() -> None:
    model = Slow()
    lanes = Lanes("m@1", lambda: model)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    await lanes.lane("searches").embed("query", ["q"])
    assert model.priorities == {before}
    await lanes.lane("answers", idle=True).embed("answer", ["a"])
    assert model.priorities == {before, 19}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


async def test_the_model_is_loaded_once_in_the_background() -> None:
    loads: list[Slow] = []
    go_on = threading.Event()

    def load() -> Slow:
        loads.append(Slow())
        assert go_on.wait(PATIENCE)
        return loads[0]

    lanes = Lanes("m@1", load)
    one, other = lanes.lane("a"), lanes.lane("b")
    await lanes.start()
    assert not await lanes.ready()  # nor has the start waited for it
    go_on.set()
    await asyncio.gather(one.embed("message", ["a"]), other.embed("message", ["b"]))
    assert await lanes.ready()
    assert len(loads) == 1
    await lanes.stop(Deadline(PATIENCE))


async def test_a_model_that_cannot_be_loaded_ends_the_process() -> None:
    def load() -> Slow:
        raise RuntimeError("no weights")

    died: list[str] = []
    lanes = Lanes("m@1", load)
    with crash.listening(died.append):
        await lanes.start()
        with pytest.raises(RuntimeError, match="no weights"):
            await lanes.lane("a").embed("message", ["a"])
        await lanes.stop(Deadline(PATIENCE))
    assert died == ["embedding model"]


async def test_an_error_of_the_model_reaches_who_asked() -> None:
    model = Slow()
    lane = Lanes("m@1", lambda: model).lane("x")

    def fails(texts: Sequence[str]) -> NDArray[np.float32]:
        raise ValueError("cannot")

    model.embed = fails  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="cannot"):
        await lane.embed("message", ["a"])
    del model.embed
    assert len(await lane.embed("message", ["a"])) == 1
