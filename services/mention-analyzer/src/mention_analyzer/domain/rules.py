"""Finding brands in answers, and judging what is said of them."""

from __future__ import annotations

from mention_analyzer.domain.analysis import analysis_of
from mention_analyzer.domain.models import Analysis, Answer, Brand, Mention
from mention_analyzer.domain.names.matching import matcher
from mention_analyzer.domain.text.laying_out import lay_out

ANALYZER_VERSION = "aho-corasick-2"


def analyze(answer: Answer, brands: tuple[Brand, ...], revision: int = 1) -> Analysis:
    """Everything found in one answer. Raises UnusableBrand."""
    return analysis_of(answer, brands, revision, ANALYZER_VERSION)


def find_mentions(text: str, brands: tuple[Brand, ...]) -> tuple[Mention, ...]:
    """Where names stand, whatever is said of them, in order of place. Raises UnusableBrand."""
    return tuple(
        Mention(found.brand_id, found.start, found.end, text[found.start : found.end], found.rule)
        for found in matcher(brands).find(lay_out(text))
    )
