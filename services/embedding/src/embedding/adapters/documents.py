"""Messages, answers and campaigns as documents, for every store that keeps them whole.

Vectors stand in documents as base64 of their 32-bit numbers, the least significant byte first.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np

from embedding.domain.models import Answer, Campaign, TextPoint, Vector

Document = dict[str, Any]


def answer_out(answer: Answer) -> Document:
    """All but the key."""
    return {
        "run_id": str(answer.run_id),
        "model": answer.model,
        "text": answer.text,
        "at": answer.at.isoformat(),
        "simulated": answer.simulated,
    }


def answer_in(tenant_id: str, completion_id: UUID, document: Document) -> Answer:
    """The reverse of ``answer_out``."""
    return Answer(
        tenant_id=tenant_id,
        completion_id=completion_id,
        run_id=UUID(document["run_id"]),
        model=document["model"],
        text=document["text"],
        at=datetime.fromisoformat(document["at"]),
        simulated=document["simulated"],
    )


def campaign_out(campaign: Campaign) -> Document:
    """All but the key, when it was changed and whether it is deleted."""
    return {
        "title": campaign.title,
        "text": campaign.text,
        "intents": list(campaign.intents),
        "excluded_intents": list(campaign.excluded_intents),
        "ends_at": None if campaign.ends_at is None else campaign.ends_at.isoformat(),
        "embedding_model": campaign.embedding_model,
        "vector": None if campaign.vector is None else vector_out(campaign.vector),
    }


def campaign_in(
    tenant_id: str, campaign_id: str, changed_at: datetime, document: Document
) -> Campaign:
    """The reverse of ``campaign_out``, for one that is not deleted."""
    ends_at, vector = document["ends_at"], document["vector"]
    return Campaign(
        tenant_id=tenant_id,
        campaign_id=campaign_id,
        title=document["title"],
        text=document["text"],
        intents=tuple(document["intents"]),
        excluded_intents=tuple(document["excluded_intents"]),
        ends_at=None if ends_at is None else datetime.fromisoformat(ends_at),
        deleted=False,
        changed_at=changed_at,
        embedding_model=document["embedding_model"],
        vector=None if vector is None else vector_in(vector),
    )


def point_out(point: TextPoint) -> Document:
    """All but the key and the user."""
    return {
        "text": point.text,
        "at": point.at.isoformat(),
        "conversation_id": point.conversation_id,
        "message_id": point.message_id,
        "run_id": None if point.run_id is None else str(point.run_id),
        "model": point.model,
        "simulated": point.simulated,
    }


def point_in(
    tenant_id: str, kind: Any, point_id: UUID, user_id: str | None, document: Document
) -> TextPoint:
    """The reverse of ``point_out``."""
    run_id = document["run_id"]
    return TextPoint(
        id=point_id,
        kind=kind,
        tenant_id=tenant_id,
        text=document["text"],
        at=datetime.fromisoformat(document["at"]),
        user_id=user_id,
        conversation_id=document["conversation_id"],
        message_id=document["message_id"],
        completion_id=point_id if kind == "answer" else None,
        run_id=None if run_id is None else UUID(run_id),
        model=document["model"],
        simulated=document["simulated"],
    )


def vector_out(vector: Vector) -> str:
    """As base64."""
    return b64encode(vector.astype("<f4").tobytes()).decode()


def vector_in(text: str) -> Vector:
    """From base64."""
    return np.frombuffer(b64decode(text), dtype="<f4").astype(np.float32)
