"""The places of brands in an answer: among the named ones, and in its lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from mention_analyzer.domain.models import Mention, Outcome
from mention_analyzer.domain.sayings.contexts import heads
from mention_analyzer.domain.sayings.statements import Statement
from mention_analyzer.domain.text.layout import Item

NAMINGS = frozenset({Outcome.NAMED, Outcome.RECOMMENDED, Outcome.DENIED})


def ranks(mentions: Iterable[Mention]) -> dict[UUID, int]:
    """Each named brand's place, from 1, by the first mention that names it.

    ``mentions`` are in order of their place. Being advised against is being named; a source or a
    link is not.
    """
    named = [mention.brand_id for mention in mentions if mention.outcome in NAMINGS]
    return {brand_id: place for place, brand_id in enumerate(dict.fromkeys(named), start=1)}


def list_ranks(
    items: Sequence[Item], sentences: Sequence[Statement], named: Sequence[Iterable[UUID]]
) -> dict[UUID, int]:
    """The number of the first list item that is about a brand, by brand.

    An item is about the brands that its first sentence names first: "X: cheaper than Y" is about X
    only. Numbers start again with every list, and the first list that names a brand counts.
    ``named`` are the brands of each index that the ``sentences`` refer to.
    """
    found = dict[UUID, int]()
    for index, item in heads(items, sentences).items():
        for choice in sentences[index].choices:
            for brand_id in named[choice]:
                found.setdefault(brand_id, item.number)
    return found
