"""One function per topic: change the graph, return what follows for the users who acted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bus.apply import Batch
from bus.codec import Delivered, Emit
from contracts.events.base import Event
from contracts.events.marketing import (
    CampaignChanged,
    ConversationRecorded,
    EngagementRecorded,
    UserEmbedded,
    UserForgotten,
)
from contracts.events.visibility import AnswerAnalyzed
from contracts.topics import AFFINITY_CHANGED
from runtime.clock import Clock

from graph_loader import translation
from graph_loader.affinities import affinities
from graph_loader.domain import batches
from graph_loader.domain.models import Key
from graph_loader.domain.ports import Graph


async def on_users_embedded(
    batch: Batch[UserEmbedded], graph: Graph, clock: Clock
) -> Sequence[Emit]:
    """Put users beside those they are like now, and compute their candidates."""
    said = [translation.statement(item) for item in batch]
    await graph.change(*batches.statements(said, _now(clock)))
    return await _computed({translation.user_of(item): item for item in batch}, graph, clock)


async def on_engagements_recorded(
    batch: Batch[EngagementRecorded], graph: Graph, clock: Clock
) -> Sequence[Emit]:
    """Connect users with the campaigns they engaged with, and compute their candidates."""
    now = clock.now()
    done = [translation.engagement(item, now) for item in batch]
    await graph.change(*batches.engagements(done, translation.micros(now)))
    return await _computed({translation.user_of(item): item for item in batch}, graph, clock)


async def on_users_forgotten(
    batch: Batch[UserForgotten], graph: Graph, clock: Clock
) -> Sequence[Emit]:
    """Remove users; of those who did something since, compute the candidates from that."""
    causes = {translation.user_of(item): item for item in batch}
    asked = [
        (translation.user_of(item), translation.micros(item.event.forgotten_at)) for item in batch
    ]
    await graph.change(*batches.forgettings(asked, _now(clock)))
    return await _computed(causes, graph, clock)


async def on_campaigns_changed(
    batch: Batch[CampaignChanged], graph: Graph, clock: Clock
) -> Sequence[Emit]:
    """Keep campaigns; those who want what they are for are computed again soon."""
    states = [
        ((item.tenant_id, item.event.campaign_id), translation.campaign(item.event))
        for item in batch
    ]
    await graph.change(*batches.campaigns(states, _now(clock)))
    return ()


async def on_conversations_recorded(
    batch: Batch[ConversationRecorded], graph: Graph, clock: Clock
) -> Sequence[Emit]:
    """Remember where conversations came from; what is said in them comes with the embedding."""
    now = clock.now()
    held = [
        (
            (translation.user_of(item), item.event.conversation_id),
            translation.conversation(item, now),
        )
        for item in batch
    ]
    await graph.change(*batches.conversations(held))
    return ()


async def on_answers_analyzed(batch: Batch[AnswerAnalyzed], graph: Graph) -> Sequence[Emit]:
    """Keep which model names which brands, and which sites it cites."""
    await graph.add_answers([translation.answer(item) for item in batch])
    return ()


async def _computed(
    causes: Mapping[Key, Delivered[Event]], graph: Graph, clock: Clock
) -> Sequence[Emit]:
    """What follows for each user, from the last event about them; the forgotten have nothing.

    It is told whether it is new or not: the events may come again because it was not told yet.
    """
    found = await affinities(graph, causes.keys(), clock)
    await graph.remember(list(found.values()))
    now = clock.now()
    return [
        causes[key].emit(AFFINITY_CHANGED, translation.affinity_changed(affinity, now))
        for key, affinity in found.items()
    ]


def _now(clock: Clock) -> int:
    return translation.micros(clock.now())
