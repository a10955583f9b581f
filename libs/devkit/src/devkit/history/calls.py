"""Calls of a provider that had to be paid, and those that were made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from devkit.history.account import Complaint


@dataclass(frozen=True)
class Calls:
    """``made``: how often the provider was asked each different request.

    ``answers`` completions were answered. ``tried_again`` calls were made because one before them
    had failed, for ``retried`` completions. ``cut`` are completions whose event says that a
    process died and may have made a call of its own (``outcome_unknown``), ``claims`` those that
    were open when a process or its store was killed, by completion and owner: each of them may be
    one more call, if its completion says so.
    """

    made: Mapping[str, int]
    answers: int
    tried_again: int
    retried: frozenset[str]
    cut: frozenset[str]
    claims: frozenset[tuple[str, str]]

    @property
    def total(self) -> int:
        """Calls that the provider took."""
        return sum(self.made.values())

    @property
    def window(self) -> int:
        """How many calls may have been made by processes that could not record them."""
        return sum(completion in self.cut for completion, _ in self.claims)

    @property
    def repeats(self) -> int:
        """Calls that were made, and paid, again."""
        return self.total - len(self.made)

    def complaints(self) -> Iterator[Complaint]:
        """Repeats outside the declared window, and answers without a call."""
        repeated = sum(times > 1 for times in self.made.values())
        declared = len(self.retried | self.cut)
        yield (
            "provider: requests paid twice that nothing tells of",
            _over(repeated, declared, "requests"),
        )
        yield (
            "provider: calls paid twice outside the window of kills",
            _over(self.repeats, self.tried_again + self.window, "calls"),
        )
        yield (
            "provider: answers that never came from a call",
            _over(self.answers, len(self.made), "answers"),
        )
        met = {completion for completion, _ in self.claims}
        yield "provider: calls said to be cut that no kill met", sorted(self.cut - met)


def _over(found: int, most: int, what: str) -> list[str]:
    return [f"{found} {what}, at most {most}"] if found > most else []
