"""Answers while they are written: many small pieces become few."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from gateway.domain.readings import TextPiece

INTERVAL_SECONDS = 0.05
"""Between two pieces of one answer: at most 20 a second."""


def merged(pieces: list[TextPiece]) -> list[TextPiece]:
    """Neighbouring pieces of one answer as one, in the order in which their answers came.

    A piece of a higher attempt voids those before it, and those of lower ones that come late.
    """
    whole: dict[UUID, list[TextPiece]] = {}
    for piece in pieces:
        own = whole.setdefault(piece.completion_id, [])
        if own and piece.attempt > own[-1].attempt:
            own.clear()
        if own and piece.attempt == own[-1].attempt:
            own[-1] = replace(own[-1], text=own[-1].text + piece.text)
        elif not own:
            own.append(piece)
    return [piece for own in whole.values() for piece in own]


class Coalescer:
    """Holds pieces back until their answer may show again. Times are seconds of any clock."""

    def __init__(self, interval: float = INTERVAL_SECONDS) -> None:
        self._interval = interval
        self._held: dict[UUID, list[TextPiece]] = {}
        self._shown: dict[UUID, float] = {}

    def add(self, piece: TextPiece) -> None:
        """Take a piece in."""
        self._held.setdefault(piece.completion_id, []).append(piece)

    def due(self, now: float) -> list[TextPiece]:
        """What may show now, each answer's pieces as one."""
        ready = [key for key in self._held if self._ready_at(key) <= now]
        pieces = [piece for key in ready for piece in self._held.pop(key)]
        # What was shown long ago holds nothing back any more.
        recent = {key: at for key, at in self._shown.items() if at + self._interval > now}
        self._shown = recent | dict.fromkeys(ready, now)
        return merged(pieces)

    def rest(self) -> list[TextPiece]:
        """What is still held, when there is no later any more."""
        held, self._held = self._held, {}
        return merged([piece for pieces in held.values() for piece in pieces])

    def next_due(self) -> float | None:
        """When something may show; None if nothing is held."""
        return min(map(self._ready_at, self._held), default=None)

    def _ready_at(self, key: UUID) -> float:
        return self._shown.get(key, float("-inf")) + self._interval
