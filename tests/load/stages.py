"""Timers around the stages of the pipeline.

CPU is that of the event loop's thread while the stage runs, step by step, so that what another
task does while a stage waits is not counted to it. ``elapsed`` is from its beginning to its end,
waiting included.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Stage:
    """Seconds spent in one stage by one task."""

    cpu: float = 0.0
    elapsed: float = 0.0


@dataclass
class Stages:
    """By task (consumer or relay) and name."""

    found: defaultdict[tuple[str, str], Stage] = field(default_factory=lambda: defaultdict(Stage))

    garbage: float = 0.0

    def clear(self) -> None:
        """Begin anew."""
        self.found.clear()
        self.garbage = 0.0

    def collecting(self, phase: str, _: dict[str, int]) -> None:
        """For ``gc.callbacks``: how long collections take, whichever stage they come upon."""
        self.garbage += time.thread_time() * (1 if phase == "stop" else -1)

    def of(self, name: str) -> Stage:
        """The stage of this name in the task that runs now."""
        task = asyncio.current_task()
        return self.found[("" if task is None else task.get_name().split()[-1], name)]

    def timed(self, name: str, function: Callable[P, T]) -> Callable[P, T]:
        """``function`` with a timer around every call."""

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.running(name):
                return function(*args, **kwargs)

        return call

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """A timer around synchronous work."""
        stage, begun, cpu = self.of(name), time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            stage.cpu += time.thread_time() - cpu
            stage.elapsed += time.perf_counter() - begun

    async def awaited(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """A timer around asynchronous work."""
        stage, begun = self.of(name), time.perf_counter()
        try:
            return await _Stepped(stage, work)
        finally:
            stage.elapsed += time.perf_counter() - begun


class _Stepped(Generic[T]):
    """Drives a coroutine and adds up the CPU of its steps."""

    def __init__(self, stage: Stage, work: Coroutine[Any, Any, T]) -> None:
        self._stage = stage
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[], Any] = partial(self._work.send, None)
        while True:
            try:
                waiting = self._run(step)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                step = partial(self._work.send, (yield waiting))
            except BaseException as error:  # noqa: BLE001 - the work's own to deal with
                step = partial(self._work.throw, error)

    def _run(self, step: Callable[[], Any]) -> Any:
        begun = time.thread_time()
        try:
            return step()
        finally:
            self._stage.cpu += time.thread_time() - begun
