"""Opening everything a log needs of its file, or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from bus.errors import LogUnavailable
from bus.local.catalog import Topic, load_ends, load_topics
from bus.local.database import FileLock, Sync, connect, migrate


@dataclass(frozen=True, slots=True)
class Files:
    """The lock, a connection to write and one to read, and what was in the file."""

    lock: FileLock
    write: sqlite3.Connection
    read: sqlite3.Connection
    topics: dict[str, Topic]
    ends: dict[int, int]


def open_files(path: Path, sync: Sync) -> Files:
    """Lock and open ``path``; blocks. Raises as ``LocalLog.open``."""
    try:
        return _open(path, sync)
    except (sqlite3.Error, OSError) as error:
        raise LogUnavailable(f"{path} cannot be opened: {error}") from error


def _open(path: Path, sync: Sync) -> Files:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        lock = FileLock(path)
        undo.callback(lock.release)
        write = undo.enter_context(closing(connect(path, sync)))
        migrate(write, path)
        read = undo.enter_context(closing(connect(path, sync)))
        files = Files(lock, write, read, load_topics(read), load_ends(read))
        undo.pop_all()
    return files
