"""One file of ladybug, open once in this process, used by one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bus.errors import Unavailable
from ladybug import Connection, Database

from graph_loader.adapters import ladybug_statements as cypher
from graph_loader.adapters.migration import pending
from graph_loader.domain.errors import GraphInUse

T = TypeVar("T")
ENGINE = "ladybug"
BUFFER_BYTES = 2 << 30
_open: set[Path] = set()
_PASSING = ("Buffer manager exception", "IO exception")


class Session:
    """Statements on a connection; only to be used by functions given to ``run``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ladybug")
        self._database = Database(str(path), buffer_pool_size=BUFFER_BYTES, max_num_threads=1)
        self._connection = Connection(self._database, num_threads=1)

    @classmethod
    async def open(cls, path: Path) -> Session:
        """Open a file, made if it is not there, and bring it up to date.

        Raises:
            GraphInUse: this process has it open, or another one.
            NewerGraph: it was written by a newer version.
        """
        path = await asyncio.to_thread(path.resolve)
        if path in _open:
            raise GraphInUse(f"{path} is open already in this process")
        _open.add(path)
        try:
            return await asyncio.to_thread(_opened, path)
        except BaseException:
            _open.discard(path)
            raise

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in the thread of this file, after what is asked already."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Finish what is begun and let go of the file; idempotent."""
        if self._path in _open:
            await asyncio.to_thread(self._thread.shutdown)
            self._connection.close()
            self._database.close()
            _open.discard(self._path)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """What a statement answers."""
        try:
            result = self._connection.execute(statement, values)
            assert not isinstance(result, list)
            return result.get_all()
        except RuntimeError as error:
            if str(error).startswith(_PASSING):
                raise Unavailable(f"ladybug: {error}") from error
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the statements inside, or none."""
        self.rows("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            self._roll_back()
            raise
        self.rows("COMMIT")

    def _roll_back(self) -> None:
        """A statement that failed has done it already."""
        try:
            self.rows("ROLLBACK")
        except RuntimeError as error:
            if "No active transaction" not in str(error):
                raise

    def migrate(self) -> None:
        """Apply what is missing. Raises NewerGraph."""
        self.rows(cypher.MIGRATION_TABLE)
        applied = [name for (name,) in self.rows(cypher.APPLIED)]
        for migration in pending(ENGINE, applied):
            with self.transaction():
                for statement in migration.statements:
                    self.rows(statement)
                self.rows(cypher.APPLY, name=migration.name)


def _opened(path: Path) -> Session:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        session = Session(path)
    except RuntimeError as error:
        if "lock" in str(error).lower():
            raise GraphInUse(f"{path} is open in another process") from error
        raise
    session.migrate()
    return session
