"""Documents of the lake in MongoDB, and the names by which they are found.

Times are whole microseconds since 1970: a BSON date would cut them to milliseconds, and what is
compared with them would not be the same any more.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
from bson.binary import Binary

from embedding.adapters.documents import answer_out, campaign_out
from embedding.domain.decay import DecayedMean, Newest
from embedding.domain.models import Answer, Campaign, Kept, Message, UserKey
from embedding.domain.rules import microseconds
from embedding.domain.states import UserState

Document = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


def time_in(ticks: int) -> datetime:
    """A time from its microseconds."""
    return _EPOCH + ticks * _TICK


def name_of(*parts: str) -> str:
    """The id of a document of one tenant."""
    return sha256(json.dumps(parts).encode()).hexdigest()


def user_name(user: UserKey) -> str:
    """The id of a user's documents."""
    return name_of(user.tenant_id, user.user_id)


def message_out(message: Message) -> Document:
    """A message that is not counted yet."""
    return {
        "_id": message.id,
        "tenant_id": message.user.tenant_id,
        "user_id": message.user.user_id,
        "conversation_id": message.conversation_id,
        "message_id": message.message_id,
        "role": message.role,
        "text": message.text,
        "sent_at": microseconds(message.sent_at),
        "said_at": microseconds(message.said_at),
        "heard_at": microseconds(message.heard_at),
        "lineage": message.lineage,
        "counted": False,
    }


def message_in(document: Document) -> Kept:
    """The reverse of ``message_out``."""
    message = Message(
        id=document["_id"],
        user=UserKey(document["tenant_id"], document["user_id"]),
        conversation_id=document["conversation_id"],
        message_id=document["message_id"],
        role=document["role"],
        text=document["text"],
        sent_at=time_in(document["sent_at"]),
        said_at=time_in(document["said_at"]),
        heard_at=time_in(document["heard_at"]),
        lineage=document["lineage"],
    )
    return Kept(message, document["counted"])


def campaign_whole(campaign: Campaign) -> Document:
    """A campaign with its key."""
    return {
        "_id": name_of(campaign.tenant_id, campaign.campaign_id),
        "tenant_id": campaign.tenant_id,
        "campaign_id": campaign.campaign_id,
        "changed_at": microseconds(campaign.changed_at),
        "deleted": campaign.deleted,
        **campaign_out(campaign),
    }


def answer_whole(answer: Answer) -> Document:
    """An answer with its key."""
    return {
        "_id": name_of(answer.tenant_id, str(answer.completion_id)),
        "tenant_id": answer.tenant_id,
        "completion_id": answer.completion_id,
        **answer_out(answer),
    }


def state_out(state: UserState) -> Document:
    """A state with its key."""
    mean = state.mean
    return {
        "_id": user_name(state.user),
        "tenant_id": state.user.tenant_id,
        "user_id": state.user.user_id,
        "version": state.version,
        "recipe": state.recipe,
        "total": Binary(mean.total.astype("<f8").tobytes()),
        "weight": mean.weight,
        "count": mean.count,
        "newest_at": microseconds(mean.newest.at),
        "newest": mean.newest.name,
        "last": Binary(mean.newest.vector.astype("<f4").tobytes()),
        "heard_at": microseconds(state.heard_at),
        "pending": list(state.pending),
    }


def state_in(document: Document) -> UserState:
    """The reverse of ``state_out``."""
    last = np.frombuffer(document["last"], dtype="<f4").astype(np.float32)
    total = np.frombuffer(document["total"], dtype="<f8").astype(np.float64)
    newest = Newest(time_in(document["newest_at"]), document["newest"], last)
    return UserState(
        user=UserKey(document["tenant_id"], document["user_id"]),
        version=document["version"],
        recipe=document["recipe"],
        mean=DecayedMean(total, document["weight"], document["count"], newest),
        heard_at=time_in(document["heard_at"]),
        pending=tuple(document["pending"]),
    )
