"""Text to word pieces, as BERT's uncased vocabulary has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Encoding, Tokenizer

MOST = 256
"""Word pieces that the model reads, with the two that mark start and end."""
WORD = 100
"""Characters of the longest word that is taken apart; a longer one is one unknown piece."""
FIRST_CUT = 4096


class Tokens:
    """The tokenizer of the model. Its file cuts at 128 and pads to 128: both are overridden."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._silent = frozenset(self._tokenizer.get_added_tokens_decoder())

    def of(self, texts: Sequence[str]) -> list[list[int]]:
        """The first ``MOST`` pieces of each text."""
        encoded = self._tokenizer.encode_batch([text[:FIRST_CUT] for text in texts])
        pairs = zip(texts, encoded, strict=True)
        return [_cut(self._enough(text, FIRST_CUT, first).ids) for text, first in pairs]

    def says(self, text: str) -> bool:
        """Whether any piece is in the vocabulary: of some emoji, say, none is."""
        return not self._silent.issuperset(self.of([text])[0])

    def _enough(self, text: str, size: int, found: Encoding) -> Encoding:
        """Read on in a long text until cutting it cannot have changed a piece that is kept."""
        while size < len(text) and len(found.ids) < MOST + WORD:
            size *= 4
            found = self._tokenizer.encode(text[:size])
        return found


def _cut(pieces: list[int]) -> list[int]:
    return pieces if len(pieces) <= MOST else [*pieces[: MOST - 1], pieces[-1]]
