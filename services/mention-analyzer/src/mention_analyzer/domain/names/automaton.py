"""The Aho-Corasick automaton, over bytes where texts are ASCII once folded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from ahocorasick_rs import AhoCorasick, BytesAhoCorasick, Implementation


class Automaton:
    """Finds all of ``patterns``, also where they overlap."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        # Patterns beyond ASCII stand in no text that is ASCII, but their numbers must stay.
        self._bytes = BytesAhoCorasick(
            [pattern.encode("utf-8", "surrogatepass") for pattern in patterns],
            implementation=Implementation.DFA,
        )

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """The number of a pattern and its place, in order of the ends."""
        if text.isascii():
            return self._bytes.find_matches_as_indexes(text.encode(), overlapping=True)
        return self._strings.find_matches_as_indexes(text, overlapping=True)

    @cached_property
    def _strings(self) -> AhoCorasick:
        """Made when first needed: with names in ASCII no folded text is anything else."""
        return AhoCorasick(self._patterns, implementation=Implementation.DFA)
