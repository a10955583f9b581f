"""The one thread that writes, with group commit.

A durable commit costs an fsync, which takes longer than everything else here together. Whatever
arrives while one is under way goes into the next transaction as a whole, so the cost is shared
by all who wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from bus.errors import BusError, LogUnavailable
from bus.local.append import Placement, Transaction

T = TypeVar("T")
Work = Callable[[Transaction], T]


class _Job(Generic[T]):
    """Work of one caller, and what became of it."""

    def __init__(self, work: Work[T], done: asyncio.Future[T]) -> None:
        self._work = work
        self._done = done
        self._result: T | None = None
        self.error: BusError | None = None

    def attempt(self, transaction: Transaction) -> None:
        """Do the work. A BusError is the caller's own: it came before anything was written."""
        try:
            self._result = self._work(transaction)
        except BusError as error:
            self.error = error

    def settle(self) -> None:
        """Tell the caller, unless it has stopped waiting; on the event loop."""
        if self._done.done():
            return
        if self.error is not None:
            self._done.set_exception(self.error)
        else:
            self._done.set_result(self._result)  # type: ignore[arg-type]  # set when no error is


class Writer:
    """Runs work in durable transactions; the loop is told of new ends before the callers are."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        placement: Placement,
        ends: Mapping[int, int],
        clock: Callable[[], int],
        on_append: Callable[[Mapping[int, int]], None],
    ) -> None:
        self._connection = connection
        self._placement = placement
        self._ends = dict(ends)
        self._clock = clock
        self._on_append = on_append
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._stopped = asyncio.Event()
        # A daemon: a program that ends without closing the log must still end.
        self._thread = threading.Thread(target=self._run, name="local-log-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> asyncio.Future[T]:
        """Queue ``work``; the future is done when its transaction is on disk, in queue order.

        ``work`` may raise a BusError before its first statement, to refuse; that concerns its
        caller only. Any other failure rolls back the transaction for all who share it. To stop
        waiting does not take the work back.

        Raises:
            LogUnavailable: the log is closed, or (from the future) the transaction failed.
        """
        if self._closed:
            raise LogUnavailable("the log is closed")
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, done))
        return done

    async def close(self) -> None:
        """Finish what is queued and end the thread."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await self._stopped.wait()
        self._thread.join()

    def _run(self) -> None:
        # The loop being closed means that nobody waits for an answer any more.
        with contextlib.suppress(RuntimeError), contextlib.closing(self._connection):
            more = True
            while more:
                jobs, more = self._take()
                ends = self._transact(jobs)
                self._loop.call_soon_threadsafe(self._settle, jobs, ends)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopped.set)

    def _take(self) -> tuple[list[_Job[Any]], bool]:
        """Wait for a job and take all there are; False when the last one has been taken."""
        taken = [self._jobs.get()]
        with contextlib.suppress(queue.Empty):
            while taken[-1] is not None:
                taken.append(self._jobs.get_nowait())
        return [job for job in taken if job is not None], taken[-1] is not None

    def _transact(self, jobs: Sequence[_Job[Any]]) -> dict[int, int]:
        try:
            ends = self._write(jobs)
        except Exception as error:  # noqa: BLE001 - handed to every caller, the thread lives on
            self._fail(jobs, error)
            return {}
        self._ends.update(ends)
        return ends

    def _write(self, jobs: Sequence[_Job[Any]]) -> dict[int, int]:
        self._connection.execute("BEGIN IMMEDIATE")
        transaction = Transaction(self._connection, self._placement, self._ends)
        for job in jobs:
            job.attempt(transaction)
        ends = transaction.flush(self._clock())
        self._connection.execute("COMMIT")
        return ends

    def _fail(self, jobs: Sequence[_Job[Any]], error: Exception) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                self._connection.execute("ROLLBACK")
        for job in jobs:
            if job.error is None:
                job.error = LogUnavailable(f"the log could not write: {error}")
                job.error.__cause__ = error

    def _settle(self, jobs: Sequence[_Job[Any]], ends: Mapping[int, int]) -> None:
        if ends:
            self._on_append(ends)
        for job in jobs:
            job.settle()
