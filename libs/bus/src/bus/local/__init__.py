"""The log port on one SQLite file: durable, partitioned, for one process.

The embedded default and the bed for deterministic tests. Everything the port promises holds,
with one process and one event loop at a time; a second process is refused with ``LogLocked``.
"""

from __future__ import annotations

from bus.local.database import LogLocked, LogTooNew
from bus.local.log import LocalLog

__all__ = ["LocalLog", "LogLocked", "LogTooNew"]
