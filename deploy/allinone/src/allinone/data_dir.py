"""The data directory: one owner at a time, and a format version."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import IO

from gateway.domain.rules import new_secret

VERSION = 1


class DataDirError(RuntimeError):
    """The directory cannot be used; says why and what to do."""


class DataDir:
    """``.limelight/``: everything that the all-in-one keeps."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None

    @property
    def log(self) -> Path:
        """The event log."""
        return self.path / "log.sqlite"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data."""
        return self.path / "postgres"

    @property
    def redis(self) -> Path:
        """Redis' data."""
        return self.path / "redis"

    @property
    def control(self) -> Path:
        """Where the running process tells the command line how to reach it."""
        return self.path / "control.json"

    def open(self) -> None:
        """Take the directory, making it at first.

        Raises:
            DataDirError: another process has it, or a newer version of Limelight wrote it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
        except OSError as error:
            raise DataDirError(f"cannot use {self.path}: {error.strerror}") from error
        self._check_version()

    def close(self) -> None:
        """Let go of the directory."""
        self.control.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def demo_key(self) -> str:
        """The API key of the demo tenant, made once; readable by its owner only."""
        path = self.path / "demo-key"
        if not path.exists():
            write_private(path, new_secret() + "\n")
        return path.read_text().strip()

    def _locked(self) -> IO[str]:
        lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise DataDirError(
                f"{self.path} is in use by another Limelight (process {holder}): stop that one, "
                "or choose another directory with LIMELIGHT_DATA_DIR"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _check_version(self) -> None:
        path = self.path / "version"
        if not path.exists():
            path.write_text(f"{VERSION}\n")
        found = path.read_text().strip()
        if not found.isdigit() or int(found) > VERSION:
            self.close()
            raise DataDirError(
                f"{self.path} has format {found!r}, this Limelight knows up to {VERSION}: a newer "
                "version wrote it; install that one, or choose another directory with "
                "LIMELIGHT_DATA_DIR"
            )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; in one step, so that nobody reads half of it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
