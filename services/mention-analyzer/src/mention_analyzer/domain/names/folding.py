"""Texts and names in one spelling, character for character, so that places stay what they are.

Case, accents, typographic quotes and hyphens, full-width letters and kinds of space are levelled.
What no name can contain becomes a sign of its kind: most texts are plain ASCII after that, which
everything after it handles several times faster.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from mention_analyzer.domain.names import unspaced

_LETTER = "\x01"  # any letter that is in no name
_IDEOGRAPH = "\x02"  # the same of scripts without spaces
_SIGN = "\x03"  # anything else: dashes, bullets, emoji
TRADEMARK = "\x04"
_QUOTES = dict.fromkeys("’‘ʼ`´′＇", "'")  # noqa: RUF001 - apostrophes as answers have them
_HYPHENS = dict.fromkeys("‐‑‒–−﹣－", "-")  # noqa: RUF001
_MARKS = dict.fromkeys("®™℠©", TRADEMARK)
_LETTERS = {"ı": "i", "ø": "o", "đ": "d", "ł": "l", "ς": "σ", "ħ": "h", "ŧ": "t"}  # noqa: RUF001
_LEVELLED = {**_QUOTES, **_HYPHENS, **_MARKS, **_LETTERS}
_ASCII = bytes(range(128))
_MANY = 48  # different characters from which one pass with a table is faster
_SEPARATORS = bytes(
    code if chr(code).isalnum() or chr(code) == _LETTER else 32 for code in range(128)
).ljust(256)
_SEPARATING = {code: chr(_SEPARATORS[code]) for code in range(128)}
_IDEOGRAPHS = re.compile(rf"[{unspaced.BLOCKS}]")


def levelled(character: str) -> str:
    """One character as one character, in lower case, without accent where the base is ASCII."""
    lower = character.lower()[0]
    known = _LEVELLED.get(lower)
    if known is not None:
        return known
    if lower.isspace():
        return " "
    if not lower.isalnum():
        return lower
    # Only what decomposes to an ASCII letter or digit: kana have marks, too, that are no accents.
    parts = unicodedata.normalize("NFKD", lower)
    if parts[0].isascii() and parts[0].isalnum() and all(map(unicodedata.combining, parts[1:])):
        return parts[0].lower()
    return lower


def fold_name(name: str) -> str:
    """A name as ``Folding`` leaves it in a text that has it."""
    return "".join(map(levelled, unicodedata.normalize("NFC", name.strip())))


def is_touching(character: str) -> bool:
    """Whether a name cannot begin or end beside this character of a text, folded or not."""
    return character == _LETTER or (
        (character.isalnum() or character == "_") and not _IDEOGRAPHS.match(character)
    )


def is_unspaced(name: str) -> bool:
    """Whether a name has letters of scripts that put no spaces between words."""
    return _IDEOGRAPHS.search(name) is not None


class Folding:
    """Folds texts for a set of names, whose ``alphabet`` is what folded names consist of."""

    def __init__(self, alphabet: set[str]) -> None:
        self._kept = frozenset(one for one in alphabet if not one.isascii())
        self._signs: dict[str, str] = {}
        self._table = _Table(self._sign)

    def fold(self, text: str) -> str:
        """``text`` levelled, of the same length."""
        if not text.isascii():
            text = self._to_ascii(text)
        elif _LETTER in text:
            text = text.replace(_LETTER, _SIGN)
        return text.lower() if text.isascii() else self._lower(text)

    def words(self, folded: str) -> str:
        """The folded text with a space for everything that can stand beside a name."""
        if folded.isascii():  # as bytes it takes half the time
            return folded.encode().translate(_SEPARATORS).decode()
        return _IDEOGRAPHS.sub(" ", folded.translate(_SEPARATING))

    def _to_ascii(self, text: str) -> str:
        if _LETTER in text:
            text = text.replace(_LETTER, _SIGN)
        # What is left of the bytes without those of ASCII are whole characters: faster than a
        # search for them.
        beyond = text.encode("utf-8", "surrogatepass").translate(None, _ASCII)
        present = set(beyond.decode("utf-8", "surrogatepass"))
        if len(present) > _MANY:
            return text.translate(self._table)
        for character in present:
            text = text.replace(character, self._sign(character))
        return text

    def _lower(self, text: str) -> str:
        """Of what was not ASCII, everything is levelled already."""
        lowered = text.lower()
        return lowered.replace("ς", "σ") if len(lowered) == len(text) else text  # noqa: RUF001

    def _sign(self, character: str) -> str:
        sign = self._signs.get(character)
        if sign is None:
            sign = self._signs[character] = self._sign_of(levelled(character))
        return sign

    def _sign_of(self, level: str) -> str:
        if level.isascii() or level in self._kept:
            return level
        if _IDEOGRAPHS.match(level):
            return _IDEOGRAPH
        return _LETTER if level.isalnum() else _SIGN


class _Table(dict[int, str]):
    """For ``str.translate``; ASCII stays."""

    def __init__(self, sign: Callable[[str], str]) -> None:
        super().__init__({code: chr(code) for code in range(128)})
        self._sign = sign

    def __missing__(self, code: int) -> str:
        made = self[code] = self._sign(chr(code))
        return made
