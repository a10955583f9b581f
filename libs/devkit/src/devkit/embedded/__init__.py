"""Real stores as child processes, from wheels: nothing to install, no Docker, no JVM."""

from __future__ import annotations

from devkit.embedded.postgres import EmbeddedPostgres
from devkit.embedded.redis import EmbeddedRedis

__all__ = ["EmbeddedPostgres", "EmbeddedRedis"]
