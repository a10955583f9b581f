"""Brings a service's PostgreSQL database up to date: plain SQL files, run by yoyo."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from yoyo import get_backend, read_migrations
from yoyo.backends import DatabaseBackend

# Any constant will do: the lock lives in the service's own database.
MIGRATION_LOCK = 0x4D494752
BUS_MIGRATIONS = Path(__file__).parent / "migrations"


class NewerSchema(RuntimeError):
    """The database was written by a newer version of this service."""


async def migrate(dsn: str, folder: Path, *, with_inbox: bool = True) -> None:
    """Apply what is missing of the service's migrations, and of the bus's ``with_inbox``.

    Raises:
        NewerSchema: the database holds migrations that this version does not know.
    """
    folders = (BUS_MIGRATIONS, folder) if with_inbox else (folder,)
    await asyncio.to_thread(_migrate, dsn, folders)


def _migrate(dsn: str, folders: Iterable[Path]) -> None:
    backend = get_backend(_for_yoyo(dsn))
    try:
        # yoyo's own lock is a row that a killed process leaves behind; this one dies with it.
        backend.execute(f"SELECT pg_advisory_lock({MIGRATION_LOCK})")
        migrations = read_migrations(*map(str, folders))
        pending = backend.to_apply(migrations)
        _refuse_newer(backend, {item.id for item in migrations})
        backend.apply_migrations(pending)
    finally:
        backend.connection.close()


def _refuse_newer(backend: DatabaseBackend, known: set[str]) -> None:
    table = backend.migration_table_quoted
    rows = backend.execute(f"SELECT migration_id FROM {table}").fetchall()  # noqa: S608
    unknown = sorted({row[0] for row in rows} - known)
    if unknown:
        raise NewerSchema(
            f"the database has migrations that this version does not know ({', '.join(unknown)}): "
            "a newer version of Limelight has used it; install that one, or choose another "
            "database or data directory"
        )


def _for_yoyo(dsn: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(("postgresql+psycopg", *parts[1:]))
