"""Components that start and stop in order, and background loops that do not die unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from runtime import crash
from runtime.deadline import Deadline
from runtime.logging import logger

_log = logger(__name__)
# A driver whose server hangs can wait for it even when cancelled.
CANCEL_SECONDS = 1.0


class Component(Protocol):
    """Something that runs while its service runs."""

    async def start(self) -> None:
        """Begin; returns when it is ready to work."""

    async def stop(self, deadline: Deadline) -> None:
        """Finish what is begun within the deadline, then give up the rest; never loses it."""


class Background:
    """One task that runs ``body(stopping)`` until it is asked to stop.

    An exception that ends the body is reported to ``runtime.crash``.
    """

    def __init__(self, name: str, body: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        self._name = name
        self._body = body
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether the body is still going."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Start the body."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._guarded(), name=self._name)

    async def stop(self, deadline: Deadline) -> None:
        """Ask the body to end; cancel it when the deadline passes."""
        self._stopping.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait({self._task}, timeout=deadline.left)
        if not done:
            _log.warning("cancelled at the shutdown deadline", task=self._name)
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CANCEL_SECONDS)

    async def _guarded(self) -> None:
        try:
            await self._body(self._stopping)
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the process must hear of it
            _log.exception("background task died", task=self._name)
            crash.report(self._name)


class Periodic:
    """Runs ``action`` at once and then every ``seconds``, until it is asked to stop.

    An ``expected`` exception (a store that is down, say) is logged, and the next turn tries again.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        action: Callable[[], Awaitable[None]],
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._action = action
        self._expected = expected
        self._task = Background(name, self._run)

    async def start(self) -> None:
        """Begin."""
        await self._task.start()

    async def stop(self, deadline: Deadline) -> None:
        """End after the turn at hand."""
        await self._task.stop(deadline)

    async def healthy(self) -> bool:
        """Whether it is still at work."""
        return self._task.running

    async def _run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._action()
            except self._expected as error:
                _log.warning("this turn failed", task=self._name, error=str(error))
            await wait_for(stopping, self._seconds)


async def wait_for(event: asyncio.Event, timeout: float) -> bool:
    """Wait until ``event`` is set or ``timeout`` seconds passed; whether it was set."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Closing:
    """A component that only ends: closes a pool or a client after everything that uses it."""

    def __init__(self, close: Callable[[], Awaitable[object]]) -> None:
        self._close = close

    async def start(self) -> None:
        """Open already."""

    async def stop(self, deadline: Deadline) -> None:
        """Close within what is left of the deadline, at least a second."""
        async with asyncio.timeout(max(1.0, deadline.left)):
            await self._close()
