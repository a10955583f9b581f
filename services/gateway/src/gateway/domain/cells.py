"""Sums over answers, the only thing that reports are computed from.

A cell is what the answers of one prompt by one model on one surface add up to. Repeats of a
prompt are not independent, so the prompt is the unit that intervals are made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AnswerCell:
    """All analysed answers of a model to a prompt.

    ``informative`` is how many name any tracked brand, ``citations`` how many pages they cite.
    """

    surface: str
    model: str
    prompt_id: UUID
    answers: int
    informative: int
    citations: int


@dataclass(frozen=True, slots=True)
class BrandCell:
    """A brand in the same answers; brands that occur in none of them have no cell.

    ``named`` to ``link_only`` count answers. ``mentions`` counts occurrences that name the brand,
    ``citations`` cited pages that are the brand's. ``rank_sum`` is over the ``named`` answers,
    ``list_rank_sum`` over ``list_ranked`` answers, ``sentiment_sum`` over ``sentiments`` answers
    (of the answer's mean, -1 to 1), ``position_adjusted_words`` over all answers of the cell.
    """

    surface: str
    model: str
    prompt_id: UUID
    brand_id: UUID
    named: int
    recommended: int
    denied: int
    cited: int
    link_only: int
    mentions: int
    rank_sum: int
    list_rank_sum: int
    list_ranked: int
    sentiment_sum: float
    sentiments: int
    citations: int
    position_adjusted_words: float


@dataclass(frozen=True, slots=True)
class Cells:
    """All cells of a run under one revision of its analysis."""

    answers: tuple[AnswerCell, ...]
    brands: tuple[BrandCell, ...]
