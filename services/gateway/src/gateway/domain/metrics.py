"""Every metric of a visibility report, defined once: what is divided by what, and where from.

All are ratios of two sums over cells, so that groups add up. Failed calls are in no sum.
``docs/metrics.md`` is made from this by ``python -m gateway.metrics_page``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.intervals import Kind

VERSION = 1
"""Of metrics and intervals: what was computed under another is computed anew."""
_OURS = "our definition"


class Total(StrEnum):
    """Sums that all brands of a group share."""

    ANSWERS = "all answers"
    NAMINGS = "answers that name a brand, summed over all brands"
    MENTIONS = "mentions of all brands"
    CITATIONS = "all citations"


@dataclass(frozen=True, slots=True)
class Metric:
    """A ratio: ``numerator`` / ``denominator``, fields of ``BrandCell`` or totals of the group.

    ``formula`` says it in words. ``most`` is None where nothing bounds a single value from above.
    ``units`` is what a Wilson interval may count on, the least of them; empty: the denominator.
    """

    id: str
    title: str
    formula: str
    numerator: str
    denominator: str | Total
    kind: Kind
    unit: str
    source: str
    least: float = 0.0
    most: float | None = 1.0
    units: tuple[Total, ...] = (Total.ANSWERS,)


def _rate(name: str, title: str, formula: str, numerator: str, source: str = _OURS) -> Metric:
    return Metric(
        *(name, title, formula, numerator, Total.ANSWERS, Kind.RATE, "share of answers", source)
    )


INFORMATIVE_RATE = _rate(
    "informative_rate",
    "Informative answers",
    "answers that name any tracked brand / answers (of the group, not of a brand)",
    "informative",
)

BRAND_METRICS: tuple[Metric, ...] = (
    _rate(
        "visibility_rate",
        "Visibility",
        "answers that name the brand / answers",
        "named",
        "our definition; mention rate or visibility in other trackers",
    ),
    Metric(
        id="share_of_voice_by_answers",
        title="Share of voice, by answers",
        formula="answers that name the brand / the same summed over all tracked brands",
        numerator="named",
        denominator=Total.NAMINGS,
        kind=Kind.SHARE,
        unit="share of namings",
        source="share of voice in media research, an answer counted once for each brand",
        units=(Total.NAMINGS,),
    ),
    Metric(
        id="share_of_voice_by_mentions",
        title="Share of voice, by mentions",
        formula="mentions of the brand / mentions of all tracked brands",
        numerator="mentions",
        denominator=Total.MENTIONS,
        kind=Kind.SHARE,
        unit="share of mentions",
        source="share of voice in media research, every mention counted",
        # Mentions in one answer come together: they are no more evidence than its naming.
        units=(Total.NAMINGS,),
    ),
    Metric(
        id="mean_rank",
        title="Mean rank",
        formula="sum of ranks (1: the first tracked brand named) / answers that name the brand",
        numerator="rank_sum",
        denominator="named",
        kind=Kind.MEAN,
        unit="rank, 1 is best",
        source=_OURS,
        least=1.0,
        most=None,
        units=(),
    ),
    Metric(
        id="mean_list_rank",
        title="Mean place in lists",
        formula="sum of places in the answer's list / answers whose list names the brand",
        numerator="list_rank_sum",
        denominator="list_ranked",
        kind=Kind.MEAN,
        unit="place, 1 is best",
        source=_OURS,
        least=1.0,
        most=None,
        units=(),
    ),
    _rate(
        "recommended_rate",
        "Recommended",
        "answers that recommend the brand / answers",
        "recommended",
    ),
    _rate(
        "denied_rate",
        "Denied",
        "answers that advise against the brand / answers",
        "denied",
    ),
    _rate(
        "cited_rate",
        "Cited as a source",
        "answers that do not name the brand but give it as a source / answers",
        "cited",
    ),
    _rate(
        "link_only_rate",
        "Link only",
        "answers that have the brand in the target of a link only / answers",
        "link_only",
    ),
    Metric(
        id="sentiment",
        title="Sentiment",
        formula="sum of the answers' mean sentiment / answers that have one",
        numerator="sentiment_sum",
        denominator="sentiments",
        kind=Kind.MEAN,
        unit="-1 (negative) to 1 (positive)",
        source=_OURS,
        least=-1.0,
        units=(),
    ),
    Metric(
        id="citation_share",
        title="Share of citations",
        formula="citations of the brand's own pages / citations of any page",
        numerator="citations",
        denominator=Total.CITATIONS,
        kind=Kind.SHARE,
        unit="share of citations",
        source=_OURS,
        units=(Total.CITATIONS, Total.ANSWERS),
    ),
    Metric(
        id="position_adjusted_words",
        title="Position-adjusted words",
        formula="sum of each answer's share of words that cite the brand's pages, "
        "earlier words weighing more / answers",
        numerator="position_adjusted_words",
        denominator=Total.ANSWERS,
        kind=Kind.SHARE,
        unit="mean share of an answer's words",
        source="Aggarwal et al. 2024, Generative Engine Optimization, arXiv 2311.09735, eq. 2-3",
    ),
)
METRICS: tuple[Metric, ...] = (INFORMATIVE_RATE, *BRAND_METRICS)
