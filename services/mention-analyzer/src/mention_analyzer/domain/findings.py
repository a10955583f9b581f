"""What one answer amounts to for each brand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from uuid import UUID

from mention_analyzer.domain.models import Brand, Citation, Finding, Mention, Outcome
from mention_analyzer.domain.ranking import NAMINGS, ranks


def findings(
    brands: Iterable[Brand],
    mentions: Sequence[Mention],
    citations: Iterable[Citation],
    list_ranks: Mapping[UUID, int],
    impressions: Mapping[UUID, float],
) -> tuple[Finding, ...]:
    """A finding for each brand with a mention or a citation, in the order of ``brands``.

    ``mentions`` are in order of their place. ``list_ranks`` and ``impressions`` are by brand.
    """
    of, pages = defaultdict[UUID, list[Mention]](list), defaultdict[UUID, int](int)
    for mention in mentions:
        of[mention.brand_id].append(mention)
    for citation in citations:
        if citation.brand_id:
            pages[citation.brand_id] += 1
    places = ranks(mentions)
    return tuple(
        _finding(
            brand_id,
            of[brand_id],
            places,
            list_ranks,
            pages[brand_id],
            impressions.get(brand_id, 0),
        )
        for brand_id in dict.fromkeys(brand.brand_id for brand in brands)
        if of[brand_id] or pages[brand_id]
    )


def _finding(
    brand_id: UUID,
    mentions: Sequence[Mention],
    places: Mapping[UUID, int],
    list_ranks: Mapping[UUID, int],
    citations: int,
    impression: float,
) -> Finding:
    """``cited`` and ``link_only`` say that the brand occurs as that only: not where it is named."""
    outcomes = [mention.outcome for mention in mentions]
    namings = sum(outcome in NAMINGS for outcome in outcomes)
    cited = not namings and Outcome.CITED in outcomes
    return Finding(
        brand_id=brand_id,
        mentions=namings,
        named=namings > 0,
        recommended=Outcome.RECOMMENDED in outcomes,
        denied=Outcome.DENIED in outcomes,
        cited=cited,
        link_only=not namings and not cited and Outcome.LINK_ONLY in outcomes,
        rank=places.get(brand_id),
        list_rank=list_ranks.get(brand_id),
        sentiment=_mean(mentions),
        citations=citations,
        position_adjusted_words=min(impression, 1.0),
    )


def _mean(mentions: Iterable[Mention]) -> float | None:
    known = [mention.sentiment for mention in mentions if mention.sentiment is not None]
    return round(fmean(known), 4) if known else None
