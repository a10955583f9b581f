"""A background loop that dies takes its process down, to be restarted, rather than look alive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[str], None]] = []


def report(task: str) -> None:
    """Tell whoever runs the process that a task of it has died."""
    for listener in _listeners:
        listener(task)


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Let ``listener`` hear of crashes while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
