"""Free loopback ports for servers that must be told theirs beforehand."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

# Below what Linux gives to outgoing connections (32768 and up): such a port may be taken by any
# client between two starts of a server that keeps its port.
_RANGE = range(15_000, 32_000)
_TRIES = 1000
_RANDOM = random.SystemRandom()


class NoFreePort(RuntimeError):
    """A thousand ports were tried, and all were taken."""


def free_ports(count: int) -> list[int]:
    """``count`` different ports on which nothing listens now. Raises NoFreePort."""
    with ExitStack() as held:
        return [_held_port(held) for _ in range(count)]


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]


def _held_port(held: ExitStack) -> int:
    """A port that stays bound until all are chosen, so that none is chosen twice."""
    for _ in range(_TRIES):
        port = _RANDOM.choice(_RANGE)
        listener = held.enter_context(socket.socket())
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise NoFreePort(f"no free port from {_RANGE.start} to {_RANGE.stop - 1}")
