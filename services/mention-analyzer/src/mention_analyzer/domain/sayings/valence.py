"""How positive or negative words are: the rules of VADER over its lexicon, for product answers.

Hutto & Gilbert (2014), "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
Media Text", ICWSM; lexicon, boosters and negations are those of the package vaderSentiment (MIT).
Kept are: valence by word, degree words and negations up to three words before ("no" up to two),
"least", and the weight of "!". Left out is what answers of assistants do not have or what the
splitting into clauses does already: emoticons and emoji, capitals, slang idioms, "never so",
"without doubt", "but". On plain words both give the same compound; this takes a tenth of the
time.

Made for social media, the lexicon misses the words by which products are judged ("slow",
"reliable") and takes a feature for a feeling ("free plan"): ``_PRODUCT_WORDS`` corrects both, on
VADER's scale from -4 to 4. The values are ours, judged by reading, and are not measured.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from functools import lru_cache

from vaderSentiment.vaderSentiment import (  # type: ignore[import-untyped]
    BOOSTER_DICT,
    NEGATE,
    SentimentIntensityAnalyzer,
)

_PRODUCT_WORDS = {
    0.0: "free like share shared sharing shares number play plays playing played hand energy "
    "vision matter matters want wants original create created creates certain certainly "
    "active cutting pressure canceling cancelling cancellation noise natural interest kill "
    "lowest low demand clear fan fans party fire security support supports supported "
    "supporting top please help heart alternative interested chance serious ready adventure "
    "stop stops cut cuts best-selling vs determine determined gain true growing casual dream "
    "block blocks",
    -1.0: "issue issues limitation limitations complex heavy heavier loud complicated dated "
    "steeper costly pricey pricier minimal noticeable limits dim basic",
    -1.6: "slow slower slowly expensive overpriced steep cluttered clunky clumsy bloated buggy "
    "laggy sluggish unreliable unintuitive outdated cumbersome flimsy fragile bulky lacks "
    "lacking restrictive underwhelming overkill drawback drawbacks downsides mediocre "
    "inconsistent inferior faulty crashes bugs glitches glitchy complaints unstable intrusive "
    "uncomfortable overheats finicky disconnects scratches leaks breaks wobbly overheating "
    "unresponsive warps",
    1.0: "simple simpler premium compact quiet quieter quick quicker quickly convenient generous "
    "simplicity spacious popular well-known easier light lighter stylish refined",
    1.8: "fast faster reliable polished intuitive seamless seamlessly versatile versatility "
    "durable durability lightweight sleek affordable affordability smooth smoothly responsive "
    "accurate sturdy efficient praised acclaimed crisp vivid customizable well-built "
    "well-made well-designed well-regarded well-rounded user-friendly easy-to-use "
    "budget-friendly long-lasting feature-rich reliability lauded renowned",
    2.6: "standout stellar top-notch high-quality unmatched unbeatable outperforms excels shines "
    "top-rated highly-rated",
}
_NEGATED = -0.74  # VADER's N_SCALAR
_EXCLAMATION = 0.292  # for each "!", at most four
_FADING = (1.0, 0.95, 0.9)  # of a degree word one, two and three words before
_ALPHA = 15.0  # VADER's: about the largest sum to expect, squared


class Scale:
    """Valence of texts by a lexicon from words to numbers between -4 and 4."""

    def __init__(self, lexicon: Mapping[str, float]) -> None:
        self._words = lexicon
        self._degrees: Mapping[str, float] = BOOSTER_DICT
        self._negations = frozenset[str](NEGATE)

    def valence(self, text: str) -> float:
        """The sum of VADER's valences, unbounded; ``text`` is in lower case."""
        words = [_bare(word) for word in text.split()]
        lexicon, degrees = self._words, self._degrees
        hits = [at for at, word in enumerate(words) if word in lexicon and word not in degrees]
        total = sum(self._at(words, at) for at in hits)
        return total + math.copysign(min(text.count("!"), 4) * _EXCLAMATION, total) * bool(total)

    def _at(self, words: Sequence[str], at: int) -> float:
        word, valence = words[at], self._words[words[at]]
        if word == "kind" and words[at + 1 : at + 2] == ["of"]:
            return 0.0
        if word == "no" and at + 1 < len(words) and words[at + 1] in self._words:
            valence = 0.0
        if self._after_no(words, at):
            valence = self._words[word] * _NEGATED
        for back, fading in enumerate(_FADING, start=1):
            if at >= back and words[at - back] not in self._words:
                valence = self._modified(words[at - back], valence, fading)
        return valence * _NEGATED if self._after_least(words, at) else valence

    def _modified(self, before: str, valence: float, fading: float) -> float:
        degree = self._degrees.get(before, 0.0) * fading
        valence += -degree if valence < 0 else degree
        negated = before in self._negations or "n't" in before
        return valence * _NEGATED if negated else valence

    def _after_no(self, words: Sequence[str], at: int) -> bool:
        if "no" in words[max(0, at - 2) : at]:
            return True
        return at > 2 and words[at - 3] == "no" and words[at - 1] in {"or", "nor"}

    def _after_least(self, words: Sequence[str], at: int) -> bool:
        if not at or words[at - 1] != "least":
            return False
        return at == 1 or words[at - 2] not in {"at", "very"}


def compound(valence: float) -> float:
    """VADER's compound score of a sum of valences: v / sqrt(v**2 + 15), between -1 and 1."""
    return valence / math.sqrt(valence * valence + _ALPHA)


@lru_cache(maxsize=1)
def product_scale() -> Scale:
    """The scale for answers about products; read from disk once, in about 10 milliseconds."""
    lexicon: dict[str, float] = dict(SentimentIntensityAnalyzer().lexicon)
    for value, words in _PRODUCT_WORDS.items():
        lexicon.update(dict.fromkeys(words.split(), value))
    return Scale({word: value for word, value in lexicon.items() if value})


def _bare(word: str) -> str:
    """Without the punctuation around it, except where little is left: as VADER does it."""
    bare = word.strip(string.punctuation)
    return bare if len(bare) > 2 else word
