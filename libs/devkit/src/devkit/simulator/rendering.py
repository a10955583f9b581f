"""Turning a drawn truth into markdown that reads like a model's answer."""

from __future__ import annotations

import random
from collections.abc import Iterable

from devkit.simulator import phrases
from devkit.simulator.drawing import BrandDraw, Draw, Outcome, Sentiment
from devkit.simulator.ground_truth import contains_word

_BY_OUTCOME = {
    Outcome.RECOMMENDED: phrases.RECOMMENDED,
    Outcome.DENIED: phrases.DENIED,
}
_BY_SENTIMENT = {
    Sentiment.POSITIVE: phrases.POSITIVE,
    Sentiment.NEUTRAL: phrases.NEUTRAL,
    Sentiment.NEGATIVE: phrases.NEGATIVE,
}
_SENTENCES_PER_PARAGRAPH = 3


def render(draw: Draw, words: random.Random) -> str:
    """Markdown that names exactly the drawn brands, in order, each once in whole words.

    The prompt is never quoted, so a brand in the question cannot slip into the answer.
    """
    if not draw.brands:
        return words.choice(phrases.NOTHING_NAMED)
    body = _numbered(draw, words) if words.random() < 0.5 else _prose(draw, words)
    parts = (words.choice(phrases.OPENINGS), body, words.choice(phrases.CLOSINGS))
    return "\n\n".join(part for part in parts if part)


def filler() -> str:
    """Every word an answer can hold besides brand names and URLs."""
    groups = (*_BY_OUTCOME.values(), *_BY_SENTIMENT.values(), (_SOURCE_LABEL,))
    fixed = (*phrases.OPENINGS, *phrases.CLOSINGS, *phrases.NOTHING_NAMED)
    lines = [*fixed, *(sentence for group in groups for sentence in group)]
    return "\n".join(line.replace("{brand}", "/") for line in lines)


def names_in_filler(names: Iterable[str]) -> list[str]:
    """The names that answers would say by accident, because they are ordinary words here."""
    text = filler()
    return [name for name in names if contains_word(text, name)]


_SOURCE_LABEL = "source"


def _numbered(draw: Draw, words: random.Random) -> str:
    return "\n".join(
        f"{drawn.rank}. {_sentence(drawn, f'**{drawn.brand.name}**', words)}"
        for drawn in draw.brands
    )


def _prose(draw: Draw, words: random.Random) -> str:
    said = [_sentence(drawn, drawn.brand.name, words) for drawn in draw.brands]
    size = _SENTENCES_PER_PARAGRAPH
    return "\n\n".join(" ".join(said[at : at + size]) for at in range(0, len(said), size))


def _sentence(drawn: BrandDraw, shown: str, words: random.Random) -> str:
    choices = _BY_OUTCOME.get(drawn.outcome) or _BY_SENTIMENT[drawn.sentiment]
    sentence = words.choice(choices).replace("{brand}", shown)
    return f"{sentence} ([{_SOURCE_LABEL}]({drawn.citation}))" if drawn.citation else sentence
