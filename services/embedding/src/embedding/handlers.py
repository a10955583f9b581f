"""One function per topic: translate, ask the domain, return what to publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bus.apply import Batch
from bus.codec import Delivered, Emit
from contracts.events.completion import CompletionFinished
from contracts.events.marketing import (
    CampaignChanged,
    ConversationRecorded,
    SearchRequested,
    UserForgotten,
)
from contracts.topics import CAMPAIGN_EMBEDDED, SEARCH_ANSWERED, USER_EMBEDDED

from embedding import translation
from embedding.domain.models import UserKey
from embedding.domain.ports import Clock
from embedding.domain.profiles import Profiles
from embedding.domain.rules import tells
from embedding.domain.searching import Archive
from embedding.domain.surroundings import Catalogs, Surveyor


@dataclass(frozen=True)
class Parts:
    """What handlers work with. The lanes differ in who waits for them: see ``app``."""

    profiles: Profiles
    surveyor: Surveyor
    catalogs: Catalogs
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
        own = translation.messages(item, now)
        said += own
        if any(map(tells, own)):
            causes[translation.user_of(item)] = item
    states = await parts.profiles.take_in(said)
    around = await parts.surveyor.survey(list(states.values()))
    model = parts.profiles.recipe.model
    return [
        causes[user].emit(USER_EMBEDDED, translation.user_embedded(states[user], found, model))
        for user, found in around.items()
    ]


async def on_campaigns_changed(batch: Batch[CampaignChanged], parts: Parts) -> Sequence[Emit]:
    """Keep campaigns to compare with; publish the vectors of those that are the latest."""
    items: dict[tuple[str, str], Delivered[CampaignChanged]] = {}
    for item in sorted(batch, key=lambda item: item.event.changed_at):
        items[item.tenant_id, item.event.campaign_id] = item
    kept = await parts.catalogs.put(list(map(translation.campaign, items.values())))
    emits = []
    for campaign in kept:
        event = translation.campaign_embedded(campaign)
        if event is not None:
            cause = items[campaign.tenant_id, campaign.campaign_id]
            emits.append(cause.emit(CAMPAIGN_EMBEDDED, event))
    return emits


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
    """Remove what was heard of them before."""
    for item in batch:
        user = UserKey(item.tenant_id, item.event.user_id)
        await parts.profiles.forget(user, item.event.forgotten_at)
    return []
