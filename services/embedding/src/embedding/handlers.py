"""One function per topic: translate, ask the domain, return what to publish."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bus.apply import Batch
from bus.codec import Delivered, Emit
from bus.errors import TooEarly
from contracts.events.completion import CompletionFinished
from contracts.events.marketing import (
    CampaignChanged,
    CampaignEmbedded,
    ConversationRecorded,
    SearchRequested,
    UserForgotten,
)
from contracts.topics import CAMPAIGN_EMBEDDED, SEARCH_ANSWERED, USER_EMBEDDED

from embedding import translation
from embedding.domain.audience import Audience
from embedding.domain.models import Surroundings, UserKey
from embedding.domain.ports import Clock
from embedding.domain.profiles import Profiles
from embedding.domain.rules import tells
from embedding.domain.searching import Archive
from embedding.domain.states import UserState
from embedding.domain.surroundings import Catalogs, Surveyor

PAGE = 10
"""Users of a campaign's audience who are told of at once."""

Tell = Callable[[Sequence[Emit]], Awaitable[None]]
"""Publishes, and returns when the log has acknowledged."""


@dataclass(frozen=True)
class Parts:
    """What handlers work with. The lanes differ in who waits for them: see ``app``."""

    profiles: Profiles
    surveyor: Surveyor
    catalogs: Catalogs
    audience: Audience
    answers: Archive
    searches: Archive
    clock: Clock


async def on_conversations_recorded(
    batch: Batch[ConversationRecorded], parts: Parts
) -> Sequence[Emit]:
    """Keep what was said; say of everybody who spoke who and what is near now."""
    now = parts.clock.now()
    causes: dict[UserKey, Delivered[ConversationRecorded]] = {}
    said = []
    for item in batch:
        own, user = translation.messages(item, now), translation.user_of(item)
        said += own
        if user not in causes or any(map(tells, own)):
            causes[user] = item
    states = await parts.profiles.take_in(said)
    around = await parts.surveyor.survey(list(states.values()))
    return [_told(causes[user], states[user], found, parts) for user, found in around.items()]


async def on_campaigns_changed(batch: Batch[CampaignChanged], parts: Parts) -> Sequence[Emit]:
    """Keep campaigns to compare with; publish the vectors of those that are the latest."""
    items: dict[tuple[str, str], Delivered[CampaignChanged]] = {}
    for item in sorted(batch, key=lambda item: item.event.changed_at):
        items[item.tenant_id, item.event.campaign_id] = item
    emits = []
    for embedded in await parts.catalogs.put(list(map(translation.campaign, batch))):
        event = translation.campaign_embedded(embedded)
        if event is not None:
            cause = items[embedded.campaign.tenant_id, embedded.campaign.campaign_id]
            emits.append(cause.emit(CAMPAIGN_EMBEDDED, event))
    return emits


async def on_campaigns_embedded(
    batch: Batch[CampaignEmbedded], parts: Parts, tell: Tell, per_second: float
) -> Sequence[Emit]:
    """Say anew what is near those who spoke before a campaign came that concerns them.

    They are told page by page, so that who speaks meanwhile does not wait behind all of them.
    """
    for item in batch:
        if item.event.meaning_changed:
            all_know = _when_all_know(item, parts)
            audience = parts.audience
            users = await audience.of(item.tenant_id, item.event.campaign_id, all_know)
            for first in range(0, len(users), PAGE):
                found = await audience.surveyed(users[first : first + PAGE], all_know)
                await tell([_told(item, state, around, parts) for state, around in found])
                audience.told(found)
                await asyncio.sleep(len(found) / per_second)
    return []


def _when_all_know(item: Delivered[CampaignEmbedded], parts: Parts) -> datetime:
    """Since when no process looks at campaigns from before this one. Raises TooEarly until then."""
    at = parts.catalogs.known_everywhere(item.envelope.id, item.envelope.time)
    wait = (at - parts.clock.now()).total_seconds()
    if wait > 0:
        raise TooEarly("somebody may not know of the campaign yet", retry_after=wait)
    return at


def _told(
    cause: Delivered[ConversationRecorded | CampaignEmbedded | UserForgotten],
    state: UserState,
    around: Surroundings,
    parts: Parts,
) -> Emit:
    model = parts.profiles.recipe.model
    return cause.emit(USER_EMBEDDED, translation.user_embedded(state, around, model))


async def on_completions_finished(batch: Batch[CompletionFinished], parts: Parts) -> Sequence[Emit]:
    """Keep the answers of visibility runs, to be found by meaning."""
    found = map(translation.answer, batch)
    await parts.answers.add([answer for answer in found if answer is not None])
    return []


async def on_searches_requested(batch: Batch[SearchRequested], parts: Parts) -> Sequence[Emit]:
    """Answer each search with what is near its query."""
    emits = []
    for item in batch:
        event = item.event
        found = await parts.searches.search(item.tenant_id, event.query, event.kinds, event.limit)
        answered = translation.search_answered(
            event, found, parts.searches.embedder.model, parts.clock.now()
        )
        emits.append(item.emit(SEARCH_ANSWERED, answered))
    return emits


async def on_users_forgotten(batch: Batch[UserForgotten], parts: Parts) -> Sequence[Emit]:
    """Remove what was heard of them before; say anew what is near those who have spoken since.

    Before, they may have been told of with all that they said, under a lower version.
    """
    causes: dict[UserKey, Delivered[UserForgotten]] = {}
    left: dict[UserKey, UserState | None] = {}
    for item in batch:
        user = UserKey(item.tenant_id, item.event.user_id)
        causes[user] = item
        left[user] = await parts.profiles.forget(user, item.event.forgotten_at)
    states = {user: state for user, state in left.items() if state is not None}
    around = await parts.surveyor.survey(list(states.values()))
    return [_told(causes[user], states[user], found, parts) for user, found in around.items()]
