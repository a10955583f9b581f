"""Free loopback ports for servers that must be told theirs beforehand."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack

# Below what Linux gives to outgoing connections (32768 and up): such a port may be taken by any
# client between two starts of a server that keeps its port.
_RANGE = range(15_000, 32_000)
_TRIES = 1000
_RANDOM = random.SystemRandom()
_given: set[int] = set()
"""By this process: a server that is told its port binds it later, or again after a kill."""


class NoFreePort(RuntimeError):
    """A thousand ports were tried, and all were taken."""


def free_ports(count: int) -> list[int]:
    """``count`` different ports on which nothing listens now. Raises NoFreePort."""
    with ExitStack() as held:
        return [_held_port(held) for _ in range(count)]


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]


def _own() -> range:
    """The share of a test worker, or all: the processes that it starts inherit its environment."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return _RANGE[worker % count :: count]


def _held_port(held: ExitStack) -> int:
    """A port that stays bound until all are chosen, and is given only once."""
    for _ in range(_TRIES):
        port = _RANDOM.choice(_own())
        listener = held.enter_context(socket.socket())
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        if port in _given:  # asked once it is bound, so that no two threads pass with it
            continue
        _given.add(port)
        return port
    raise NoFreePort(f"no free port from {_RANGE.start} to {_RANGE.stop - 1}")
