"""Group commit: many callers, one write. What arrives while a write is under way goes together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class _Waiting(Generic[T, R]):
    items: list[T] = field(default_factory=list)
    answers: list[asyncio.Future[R]] = field(default_factory=list)


class Batching(Generic[T, R]):
    """Turns single calls into batches of up to ``most``.

    ``write`` gets the items in the order of their callers and answers with one result for each.
    If it raises, every caller of that batch gets the exception. ``linger`` seconds are waited
    for company before a write.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        most: int = 500,
        linger: float = 0.0,
    ) -> None:
        self._write = write
        self._most = most
        self._linger = linger
        self._waiting: _Waiting[T, R] = _Waiting()
        self._writer: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """Hand in one item; returns its result once its batch is written.

        A caller that is cancelled does not take its item back.
        """
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.items.append(item)
        self._waiting.answers.append(answer)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        return await answer

    async def _write_all(self) -> None:
        try:
            while self._waiting.items:
                if len(self._waiting.items) < self._most:
                    await asyncio.sleep(self._linger)
                await self._write_some(self._taken())
        finally:  # with something left only when cancelled: nobody would write it
            left, self._waiting = self._waiting, _Waiting()
            _cancel(left.answers)

    def _taken(self) -> _Waiting[T, R]:
        whole, most = self._waiting, self._most
        self._waiting = _Waiting(whole.items[most:], whole.answers[most:])
        return _Waiting(whole.items[:most], whole.answers[:most])

    async def _write_some(self, taken: _Waiting[T, R]) -> None:
        try:
            results = await self._write(taken.items)
            answered = list(zip(taken.answers, results, strict=True))
        except Exception as error:  # noqa: BLE001 - each caller judges it
            for answer in taken.answers:
                if not answer.done():
                    answer.set_exception(error)
        except asyncio.CancelledError:
            _cancel(taken.answers)
            raise
        else:
            for answer, result in answered:
                if not answer.done():
                    answer.set_result(result)


def _cancel(answers: Sequence[asyncio.Future[R]]) -> None:
    for answer in answers:
        answer.cancel()
