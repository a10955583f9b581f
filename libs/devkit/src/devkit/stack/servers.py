"""The servers that services need, started side by side, and what each service is told of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devkit.servers.postgres import create_database
from devkit.stack.choice import start_server
from devkit.stack.server import Server
from devkit.stopping import Stopping

__all__ = ["ALL", "Server", "Servers"]
ALL = frozenset({"kafka", "postgres", "redis", "mongo", "milvus", "neo4j"})


class Servers(Stopping):
    """Running servers by name: kafka, postgres, redis, mongo, milvus, neo4j."""

    def __init__(self, running: Mapping[str, Server]) -> None:
        self._running = running

    @classmethod
    def start(cls, folder: Path, wanted: Collection[str] = ALL) -> Servers:
        """Start those ``wanted`` at once, each on its own folder.

        Raises:
            ServerUnavailable: one cannot be had on this machine; the others are stopped again.
            RuntimeError: one did not come up; with its last log lines.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(len(wanted)) as threads:
            starting = {
                name: threads.submit(start_server, name, folder / name) for name in sorted(wanted)
            }
        failed = [each.exception() for each in starting.values() if each.exception()]
        running = cls({n: each.result() for n, each in starting.items() if not each.exception()})
        if failed and failed[0] is not None:
            running.stop()
            raise failed[0]
        return running

    def __getitem__(self, name: str) -> Server:
        return self._running[name]

    def __iter__(self) -> Iterator[Server]:
        return iter(self._running.values())

    def stop(self) -> None:
        """Stop all in order."""
        for server in self._running.values():
            server.stop()

    def urls(self) -> dict[str, str]:
        """Where each server is, by its name."""
        return {name: server.url for name, server in self._running.items()}

    def environment(self, service: str) -> dict[str, str]:
        """What that service must be told; its database is made if it is missing."""
        return {"LIMELIGHT_LOG_URL": self["kafka"].url, **self._stores(service)}

    def _stores(self, service: str) -> dict[str, str]:
        match service:
            case "gateway":
                return self._database("gateway") | self._redis(0)
            case "llm_executor":
                return self._database("completions")
            case "mention_analyzer":
                return self._database("mentions")
            case "embedding":
                lake = {"LIMELIGHT_MONGO_URL": f"{self['mongo'].url}/lake"}
                return lake | {"LIMELIGHT_MILVUS_URI": self["milvus"].url}
            case "graph_loader":
                return {"LIMELIGHT_GRAPH_URL": self["neo4j"].url}
            case "recommender":
                return self._redis(1)
        raise KeyError(service)

    def _database(self, name: str) -> dict[str, str]:
        return {"LIMELIGHT_POSTGRES_DSN": create_database(self["postgres"].url, name)}

    def _redis(self, database: int) -> dict[str, str]:
        return {"LIMELIGHT_REDIS_URL": f"{self['redis'].url}/{database}"}
