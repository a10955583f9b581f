"""What the gateway reads without a transaction: its effects may come again, and need no inbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

from bus.apply import Batch
from bus.codec import Emit
from bus.compose import Lane
from bus.publishing import Reaction
from bus.replay import Replays
from contracts.topics import (
    CAMPAIGN_CHANGED,
    COMPLETION_CHUNKED,
    POPULAR_CAMPAIGNS_CHANGED,
    RECOMMENDATION_CHANGED,
    SEARCH_ANSWERED,
    USER_FORGOTTEN,
    Topic,
)

from gateway.domain.ports import (
    CampaignRepository,
    LiveText,
    RecommendationWriter,
    SearchAnswers,
)
from gateway.handlers import (
    on_campaigns_changed,
    on_completions_chunked,
    on_popular_campaigns_changed,
    on_recommendations_changed,
    on_searches_answered,
    on_users_forgotten,
)
from gateway.rebuilding import Handle


@dataclass(frozen=True)
class Listeners:
    """What the handlers work through."""

    campaigns: CampaignRepository
    lists: RecommendationWriter
    searches: SearchAnswers
    live: LiveText

    def lanes(self) -> list[Lane]:
        """Campaigns need the database, which keeps nothing else waiting; nor do long texts."""
        return [
            Lane("recommendations", _reactions(self._about_lists())),
            Lane("campaigns", _reactions(self._about_campaigns())),
            Lane(
                "live",
                _reactions(
                    {
                        COMPLETION_CHUNKED: partial(on_completions_chunked, live=self.live),
                        SEARCH_ANSWERED: partial(on_searches_answered, answers=self.searches),
                    }
                ),
            ),
        ]

    def rebuilding(self) -> dict[Topic[Any], Handle]:
        """What the read model of recommendations is made from, all of it.

        The forgotten first: nothing of theirs is to be seen again, not even for a moment.
        """
        return self._about_lists() | self._about_campaigns()

    def _about_lists(self) -> dict[Topic[Any], Handle]:
        return {
            USER_FORGOTTEN: partial(on_users_forgotten, lists=self.lists),
            RECOMMENDATION_CHANGED: partial(on_recommendations_changed, lists=self.lists),
            POPULAR_CAMPAIGNS_CHANGED: partial(on_popular_campaigns_changed, lists=self.lists),
        }

    def _about_campaigns(self) -> dict[Topic[Any], Handle]:
        handle = partial(on_campaigns_changed, campaigns=self.campaigns, lists=self.lists)
        return {CAMPAIGN_CHANGED: handle}


def joined(one: Replays, other: Replays) -> Replays:
    """The DLQs of two parts of a service, which read different topics."""

    async def apply(batch: Batch[Any]) -> None:
        for topic, items in groupby(batch, key=lambda item: item.record.topic):
            await (one if topic in one.topics else other).apply(list(items))

    return replace(one, topics={**other.topics, **one.topics}, apply=apply)


def _reactions(handlers: dict[Topic[Any], Handle]) -> list[Reaction[Any]]:
    return [Reaction(topic, partial(_silently, handle)) for topic, handle in handlers.items()]


async def _silently(handle: Handle, batch: Batch[Any]) -> Sequence[Emit]:
    """None of these cause events."""
    await handle(batch)
    return ()
