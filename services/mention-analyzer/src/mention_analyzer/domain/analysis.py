"""Everything found in one answer, from its text and the sources beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from uuid import UUID

from mention_analyzer.domain.findings import findings
from mention_analyzer.domain.models import Analysis, Answer, Brand, Mention, Outcome
from mention_analyzer.domain.names.matching import Match, matcher
from mention_analyzer.domain.pages.citations import citations, linked_mentions
from mention_analyzer.domain.pages.impression import position_adjusted_words
from mention_analyzer.domain.ranking import list_ranks
from mention_analyzer.domain.sayings.contexts import context_of
from mention_analyzer.domain.sayings.outcomes import outcomes
from mention_analyzer.domain.sayings.sentiment import sentiments
from mention_analyzer.domain.sayings.statements import NAMING, clean_sentences
from mention_analyzer.domain.text.laying_out import lay_out
from mention_analyzer.domain.text.layout import Layout, Place, Region


def analysis_of(answer: Answer, brands: tuple[Brand, ...], revision: int, version: str) -> Analysis:
    """Mentions, citations and findings of one answer. Raises UnusableBrand."""
    layout = lay_out(answer.text)
    matches = matcher(brands).find(layout)
    named, places = _in_prose(layout, matches)
    cited = citations(layout, answer.sources, brands)
    mentions = [*named, *_unnamed(answer.text, matches)]
    mentions += linked_mentions(cited, layout, mentions)
    mentions.sort(key=attrgetter("start"))
    pages = tuple(one.citation for one in cited)
    impressions = position_adjusted_words(layout, cited)
    found = findings(brands, mentions, pages, places, impressions)
    return Analysis(answer, version, tuple(mentions), pages, found, revision)


def _in_prose(layout: Layout, matches: Sequence[Match]) -> tuple[list[Mention], dict[UUID, int]]:
    """The mentions that name a brand, and the places of brands in lists."""
    naming = [match for match in matches if match.place in NAMING]
    if not naming:
        return [], {}
    spots, of_spot = _spots(naming)
    sentences = clean_sentences(layout, spots)
    context = context_of(layout, sentences)
    judged = outcomes(context, len(spots))
    scores = sentiments(context, judged)
    mentions = [
        _mention(layout.text, match, judged[spot], scores[spot])
        for spot, ones in enumerate(of_spot)
        for match in ones
    ]
    brands = [[match.brand_id for match in ones] for ones in of_spot]
    return mentions, list_ranks(layout.items, sentences, brands)


def _spots(naming: Iterable[Match]) -> tuple[list[Region], list[list[Match]]]:
    """Where a brand is named, and the matches there: a name that two brands share is one spot."""
    spots, of_spot = list[Region](), list[list[Match]]()
    for match in naming:
        if spots and match.start < spots[-1].end:
            last = spots[-1]
            spots[-1] = Region(last.start, max(last.end, match.end), last.place)
            of_spot[-1].append(match)
        else:
            spots.append(Region(match.start, match.end, match.place))
            of_spot.append([match])
    return spots, of_spot


def _unnamed(text: str, matches: Iterable[Match]) -> Iterator[Mention]:
    """Names where no reader is told of the brand: in labels of sources and in addresses."""
    for match in matches:
        if match.place not in NAMING:
            link_only = match.place is Place.URL
            yield _mention(text, match, Outcome.LINK_ONLY if link_only else Outcome.CITED)


def _mention(text: str, match: Match, outcome: Outcome, sentiment: float | None = None) -> Mention:
    return Mention(
        brand_id=match.brand_id,
        start=match.start,
        end=match.end,
        text=text[match.start : match.end],
        rule=match.rule,
        alias=match.alias,
        outcome=outcome,
        sentiment=sentiment,
    )
