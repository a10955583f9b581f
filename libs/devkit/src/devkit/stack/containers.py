"""A server as a container of the image that compose names, on a port of the loopback interface."""

from __future__ import annotations

import atexit
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from docker.errors import APIError
from testcontainers.core.container import DockerContainer
from testcontainers.core.exceptions import ContainerStartException

from devkit.ports import free_port
from devkit.servers.local import ServerUnavailable, listens
from devkit.stack import engine
from devkit.stack.images import store
from devkit.stopping import Stopping

STARTUP_TIMEOUT = 180.0
STOP_TIMEOUT = 10


@dataclass(frozen=True)
class Recipe:
    """How tests run a store: alone, without passwords. ``{port}`` is the one on this machine."""

    port: int
    url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] | None = None
    as_composed: bool = False
    """Whether the environment of compose holds beside this one."""


RECIPES: Mapping[str, Recipe] = {
    "kafka": Recipe(
        19092,
        "kafka://127.0.0.1:{port}",
        {
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_ADVERTISED_LISTENERS": "INSIDE://localhost:9092,OUTSIDE://127.0.0.1:{port}",
            # A broker that was killed may register again only when its old session has run out.
            "KAFKA_BROKER_SESSION_TIMEOUT_MS": "2000",
            "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
        },
        as_composed=True,
    ),
    "postgres": Recipe(
        5432, "postgresql://postgres@127.0.0.1:{port}", {"POSTGRES_HOST_AUTH_METHOD": "trust"}
    ),
    "redis": Recipe(
        6379, "redis://127.0.0.1:{port}", command=["redis-server", "--appendonly", "yes"]
    ),
    "mongo": Recipe(27017, "mongodb://127.0.0.1:{port}"),
    "neo4j": Recipe(7687, "bolt://127.0.0.1:{port}", {"NEO4J_AUTH": "none"}),
    "milvus": Recipe(
        19530,
        "http://127.0.0.1:{port}",
        # By itself: etcd in its own process, objects as files.
        {
            "ETCD_USE_EMBED": "true",
            "ETCD_DATA_DIR": "/var/lib/milvus/etcd",
            "COMMON_STORAGETYPE": "local",
            "DEPLOY_MODE": "STANDALONE",
        },
        ["milvus", "run", "standalone"],
    ),
}


class ContainerServer(Stopping):
    """One container; its data last over ``kill`` and ``restart`` and are gone after ``stop``."""

    def __init__(self, name: str, port: int) -> None:
        recipe, composed = RECIPES[name], store(name)
        given = {**composed.environment} if recipe.as_composed else {}
        given |= {key: value.format(port=port) for key, value in recipe.environment.items()}
        self._name, self._port, self._store = name, port, composed
        self._url = recipe.url.format(port=port)
        self._removed = False
        self._container = DockerContainer(composed.image).with_envs(**given)
        if recipe.command is not None:
            self._container.with_command([*recipe.command])
        # An address beside the port: nobody else on the network may use a store without a password.
        self._container.ports[f"{recipe.port}/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]

    @classmethod
    def start(cls, name: str, *, port: int | None = None) -> ContainerServer:
        """Start one of ``RECIPES`` and wait until it is healthy.

        Raises:
            ServerUnavailable: no engine answers, or its image is neither here nor to be pulled.
            RuntimeError: it ended, or is not healthy in ``STARTUP_TIMEOUT`` s; with its last lines.
        """
        missing = why_unavailable(name)
        if missing is not None:
            raise ServerUnavailable(f"{name}: {missing}")
        server = cls(name, port or free_port())
        atexit.register(server.stop)
        try:
            server._container.start()
            server._await_healthy()
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self._name} ({self._store.image})"

    @property
    def url(self) -> str:
        """What a client connects to."""
        return self._url

    @property
    def pid(self) -> int:
        """Of its first process, as this machine sees it where it runs the engine itself."""
        self._inner.reload()
        return int(self._inner.attrs["State"]["Pid"])

    def kill(self) -> None:
        """End it at once with SIGKILL; does nothing when it is not running."""
        if self._state() == "running":
            self._inner.kill()
            self._inner.wait()

    def restart(self) -> None:
        """Start again on the same data and port, ending it first if it still runs."""
        self.kill()
        self._inner.start()
        self._await_healthy()

    def stop(self) -> None:
        """Shut down in order, or with SIGKILL after ``STOP_TIMEOUT`` seconds, and remove it."""
        atexit.unregister(self.stop)
        if self._removed:
            return
        self._removed = True
        with contextlib.suppress(ContainerStartException):  # there is none
            self._inner.stop(timeout=STOP_TIMEOUT)
        self._container.stop()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of what it printed."""
        return bytes(self._inner.logs(tail=lines)).decode(errors="replace")

    @property
    def _inner(self) -> Any:
        return self._container.get_wrapped_container()

    def _state(self) -> str:
        self._inner.reload()
        return str(self._inner.status)

    def _await_healthy(self) -> None:
        deadline = time.monotonic() + STARTUP_TIMEOUT
        while not self._healthy():
            if self._state() not in {"created", "running"}:
                raise RuntimeError(f"{self.name} ended:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} is not healthy:\n{self.log_tail()}")
            time.sleep(0.2)

    def _healthy(self) -> bool:
        try:
            status = self._inner.exec_run([*self._store.health]).exit_code
        except APIError:  # it is starting, or has just ended
            return False
        return status == 0 and listens(self._port)


def why_unavailable(name: str) -> str | None:
    """Why that server cannot be a container here; None if it can."""
    return engine.why_not() or engine.why_no_image(store(name).image)
