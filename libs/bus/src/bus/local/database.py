"""The file itself: who may open it, its schema, and how rows are addressed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Literal

from bus.errors import BusError, LogUnavailable

Sync = Literal["full", "normal"]

SCHEMA_VERSION = 1

# A batch's row id is its partition's id in the high bits and its first offset in the low ones:
# reading a partition is then one range scan of the table itself, with no second index to keep.
OFFSET_BITS = 40
MAX_OFFSET = (1 << OFFSET_BITS) - 1

_SCHEMA = (
    """CREATE TABLE topic (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        retention_ms INTEGER,
        max_record_bytes INTEGER NOT NULL
    )""",
    """CREATE TABLE partition (
        id INTEGER PRIMARY KEY,
        topic_id INTEGER NOT NULL REFERENCES topic (id),
        number INTEGER NOT NULL,
        next_offset INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic_id, number)
    )""",
    """CREATE TABLE batch (
        position INTEGER PRIMARY KEY,
        timestamp_ms INTEGER NOT NULL,
        records INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    """CREATE TABLE committed (
        consumer_group TEXT NOT NULL,
        partition_id INTEGER NOT NULL REFERENCES partition (id),
        next_offset INTEGER NOT NULL,
        PRIMARY KEY (consumer_group, partition_id)
    ) WITHOUT ROWID""",
)


class LogLocked(BusError):
    """Another open log, in this process or another one, holds the file."""


class LogTooNew(BusError):
    """The file was written by a newer version than this one."""


def position(partition_id: int, offset: int) -> int:
    """Row id of a batch of ``partition_id`` that starts at ``offset``."""
    return (partition_id << OFFSET_BITS) | offset


def check_offset(offset: int) -> None:
    """Raises ValueError for what can be no offset: it would address another partition."""
    if not 0 <= offset <= MAX_OFFSET:
        raise ValueError(f"not an offset: {offset}")


def offset_in(row_id: int) -> int:
    """The offset part of a row id."""
    return row_id & MAX_OFFSET


class FileLock:
    """Exclusive use of the log at ``path``; the kernel lets go of it when the process dies.

    Raises:
        LogLocked: somebody else has it.
    """

    def __init__(self, path: Path) -> None:
        beside = path.with_name(f"{path.name}.lock")
        self._fd = os.open(beside, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            # flock, not lockf: a second open in this very process has to be refused as well.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._fd, 32).decode(errors="replace") or "unknown"
            os.close(self._fd)
            raise LogLocked(
                f"{path} is in use by process {holder}: one process at a time can"
                " open a local log; stop that one, or use Kafka to share a log"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others in. The file stays: removing it would race with the next holder."""
        os.close(self._fd)


def connect(path: Path, sync: Sync) -> sqlite3.Connection:
    """A connection in WAL mode that begins and commits only when told to."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        connection.close()
        raise LogUnavailable(f"{path}: this file system has no write-ahead logging, use another")
    connection.execute(f"PRAGMA synchronous = {sync.upper()}")
    return connection


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring an empty file to the current schema; refuse one from the future."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise LogTooNew(
            f"{path} has schema version {version}, this program knows versions up to"
            f" {SCHEMA_VERSION}: run the newer program that wrote it, or open another file"
        )
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
