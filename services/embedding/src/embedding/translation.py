"""Between events and the domain: one function for each event, in either direction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from bus.codec import Delivered
from contracts.events import marketing as events
from contracts.events.completion import VISIBILITY, CompletionFinished

from embedding.domain.models import (
    Answer,
    Campaign,
    Found,
    Message,
    Surroundings,
    UserKey,
)
from embedding.domain.rules import message_uuid, said_at
from embedding.domain.states import UserState
from embedding.domain.surroundings import Embedded

_MOST = 2**63 - 1
"""The largest number that every lake holds; a file may claim to have more lines."""
NUL, REPLACEMENT = "\x00", "\ufffd"
Heard = Delivered[events.ConversationRecorded]


def messages(item: Heard, now: datetime) -> list[Message]:
    """What was said in a conversation, as it is kept."""
    user = user_of(item)
    pairs = zip(item.event.messages, _names(item.event.messages), strict=True)
    return [_message(item, user, said, name, now) for said, name in pairs]


def user_of(item: Heard) -> UserKey:
    """Who spoke."""
    return UserKey(item.tenant_id, item.event.user_id)


def _message(
    item: Heard, user: UserKey, said: events.ConversationMessage, name: str, now: datetime
) -> Message:
    return Message(
        id=message_uuid(user, item.event.conversation_id, name),
        user=user,
        conversation_id=item.event.conversation_id,
        message_id=said.message_id,
        role=said.role,
        text=storable(said.text),
        sent_at=said.sent_at,
        said_at=said_at(said.sent_at, now),
        heard_at=item.taken_in(now),
        lineage=_lineage(item),
    )


def _names(said: Sequence[events.ConversationMessage]) -> Iterator[str]:
    """What tells each message from the others of its conversation.

    Without an id of its own: its words, its time, and which one of several like that it is. Its
    place would not do, as a conversation may come in parts.
    """
    seen: Counter[str] = Counter()
    for one in said:
        if one.message_id is not None:
            yield f"id {one.message_id}"
            continue
        words = f"{one.role}\n{one.sent_at.timestamp()}\n{one.text}"
        name = f"words {sha256(words.encode()).hexdigest()}"
        yield f"{name} {seen[name]}"
        seen[name] += 1


def _lineage(item: Heard) -> dict[str, Any]:
    line = item.event.line_of
    known = {
        "event_id": item.envelope.id,
        "source": item.envelope.source,
        "channel": item.event.channel,
        "locale": item.event.locale,
        "file": None if line is None else line.file,
        "line": None if line is None else min(line.line, _MOST),
    }
    return {name: storable(value) for name, value in known.items() if value is not None}


def campaign(item: Delivered[events.CampaignChanged]) -> Campaign:
    """A campaign as far as it matters here."""
    event = item.event
    return Campaign(
        tenant_id=item.tenant_id,
        campaign_id=event.campaign_id,
        title=storable(event.title),
        text=storable(event.text),
        intents=event.intents,
        excluded_intents=event.excluded_intents,
        ends_at=event.ends_at,
        deleted=event.deleted,
        changed_at=event.changed_at,
    )


def answer(item: Delivered[CompletionFinished]) -> Answer | None:
    """The answer of a visibility run; None for all else, and where there is no text."""
    event = item.event
    if event.origin.kind != VISIBILITY or not (event.text or "").strip():
        return None
    return Answer(
        tenant_id=item.tenant_id,
        completion_id=event.completion_id,
        run_id=event.origin.parent_id,
        model=storable(event.model),
        text=storable(event.text or ""),
        at=event.finished_at,
        simulated=event.simulated,
    )


def user_embedded(state: UserState, around: Surroundings, model: str) -> events.UserEmbedded:
    """Where a user stands now."""
    return events.UserEmbedded(
        user_id=state.user.user_id,
        version=state.version,
        model=model,
        messages=state.mean.count,
        neighbours=tuple(
            events.Neighbour(user_id=near.user_id, similarity=near.similarity)
            for near in around.neighbours
        ),
        intents=tuple(
            events.IntentScore(intent=wish.intent, score=wish.score, latest=wish.latest)
            for wish in around.wishes
        ),
        campaigns=tuple(
            events.CampaignScore(campaign_id=each.campaign_id, similarity=each.similarity)
            for each in around.likings
        ),
        heard_at=state.heard_at,
        embedded_at=around.looked_at,
    )


def campaign_embedded(embedded: Embedded) -> events.CampaignEmbedded | None:
    """The vector of a campaign; None for one that is deleted or has nothing the model knows."""
    campaign = embedded.campaign
    if campaign.deleted or campaign.vector is None:
        return None
    return events.CampaignEmbedded(
        campaign_id=campaign.campaign_id,
        model=campaign.embedding_model,
        vector=tuple(map(float, campaign.vector)),
        changed_at=campaign.changed_at,
        meaning_changed=embedded.meaning_changed,
    )


def search_answered(
    event: events.SearchRequested, found: Sequence[Found] | None, model: str, now: datetime
) -> events.SearchAnswered:
    """What was found; None if the query has nothing the model knows."""
    failure = "the query has no word that the model knows: ask in other words"
    return events.SearchAnswered(
        search_id=event.search_id,
        hits=tuple(map(_hit, found or ())),
        model=model,
        failure=failure if found is None else None,
        answered_at=now,
    )


def _hit(found: Found) -> events.SearchHit:
    point = found.point
    return events.SearchHit(
        kind=point.kind,
        similarity=found.similarity,
        text=point.text,
        user_id=point.user_id,
        conversation_id=point.conversation_id,
        message_id=point.message_id,
        completion_id=point.completion_id,
        run_id=point.run_id,
        model=point.model,
        at=point.at,
        simulated=point.simulated,
    )


def storable(text: Any) -> Any:
    """A text without the one character that PostgreSQL cannot hold; all else as it is."""
    return text.replace(NUL, REPLACEMENT) if isinstance(text, str) else text
