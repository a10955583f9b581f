"""Out-of-order completion, in-order commit: the lowest offset below which all is done."""

from __future__ import annotations


class OffsetTracker:
    """Tracks one partition. Offsets start in rising order and finish in any order."""

    def __init__(self) -> None:
        self._open: dict[int, bool] = {}  # insertion order is offset order; value: finished
        self._next: int | None = None

    def start(self, offset: int) -> None:
        """Note that the record at ``offset`` is being worked on."""
        if self._open and offset <= next(reversed(self._open)):
            raise ValueError(f"offset {offset} started out of order")
        self._open[offset] = False

    def finish(self, offset: int) -> None:
        """Note that it is done, for good or in the DLQ."""
        if offset not in self._open:
            return  # the partition was revoked and came back in between
        self._open[offset] = True
        while self._open:
            lowest = next(iter(self._open))
            if not self._open[lowest]:
                break
            del self._open[lowest]
            self._next = lowest + 1

    def take_commit(self) -> int | None:
        """The offset to commit now; None if nothing advanced since the last call."""
        ready, self._next = self._next, None
        return ready

    def give_back(self, offset: int) -> None:
        """Undo ``take_commit``: the log did not acknowledge this offset."""
        self._next = max(offset, self._next or 0)

    @property
    def span(self) -> int:
        """How many records lie between the lowest open one and the newest, both included."""
        return len(self._open)
