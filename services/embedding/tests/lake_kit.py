"""Messages, states, answers and campaigns for tests, and a lake of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from devkit.servers.local import ServerUnavailable
from devkit.stack import start_server
from embedding.domain.decay import DecayedMean, Newest
from embedding.domain.models import Answer, Campaign, Message, UserKey, Vector
from embedding.domain.rules import message_uuid
from embedding.domain.states import UserState

AT = datetime(2026, 11, 4, 10, 0, 0, 123457, tzinfo=UTC)
ADA = UserKey("kaffeehaus", "ada")
ODD = UserKey("we\"ird \\ ten'ant", "梅 $where {x}")


@contextmanager
def mongo_url(given: str | None, folder: Path) -> Iterator[str]:
    """A MongoDB server's address; skips the test if none can be had."""
    if given is not None:
        yield given
        return
    try:
        server = start_server("mongo", folder)
    except ServerUnavailable as error:
        pytest.skip(str(error))
    with server:
        yield server.url


def vector(*parts: float) -> Vector:
    """A vector of length 1 that begins with these numbers."""
    whole = np.zeros(384, dtype=np.float32)
    whole[: len(parts)] = parts
    unit: Vector = whole / np.linalg.norm(whole)
    return unit


def message(name: str = "m-1", user: UserKey = ADA, **changes: Any) -> Message:
    """Something that was said."""
    fields: dict[str, Any] = {
        "id": message_uuid(user, "c-1", name),
        "user": user,
        "conversation_id": "c-1",
        "message_id": name,
        "role": "user",
        "text": f"text of {name} ☕",
        "sent_at": AT - timedelta(minutes=2),
        "said_at": AT - timedelta(minutes=1),
        "heard_at": AT,
        "lineage": {"event_id": "e-1", "file": "talk.jsonl", "line": 17},
    }
    return Message(**{**fields, **changes})


def state(user: UserKey = ADA, version: int = 1, *pending: UUID) -> UserState:
    """A state that holds numbers no decimal fraction would keep."""
    total = np.arange(384, dtype=np.float64) / 3
    newest = Newest(AT, "m-1", vector(1, 1 / 3))
    return UserState(user, version, "m@1/30d", DecayedMean(total, 2 / 3, 7, newest), AT, pending)


def same(one: UserState | None, other: UserState) -> bool:
    """Equal to the last bit. Arrays have no equality of their own that says yes or no."""
    assert one is not None
    assert one.mean.total.tobytes() == other.mean.total.tobytes()
    assert one.mean.newest.vector.tobytes() == other.mean.newest.vector.tobytes()
    assert one.mean.newest == other.mean.newest
    numbers = (one.mean.weight, one.mean.count)
    rest = (one.user, one.version, one.recipe, one.heard_at, one.pending)
    return numbers == (other.mean.weight, other.mean.count) and rest == (
        other.user,
        other.version,
        other.recipe,
        other.heard_at,
        other.pending,
    )


def answer(tenant_id: str = "kaffeehaus", **changes: Any) -> Answer:
    """What a model said."""
    fields: dict[str, Any] = {
        "tenant_id": tenant_id,
        "completion_id": uuid4(),
        "run_id": uuid4(),
        "model": "openai/gpt",
        "text": "Use fresh beans.",
        "at": AT,
        "simulated": True,
    }
    return Answer(**{**fields, **changes})


def campaign(campaign_id: str = "espresso", **changes: Any) -> Campaign:
    """A campaign that runs."""
    fields: dict[str, Any] = {
        "tenant_id": "kaffeehaus",
        "campaign_id": campaign_id,
        "title": "Espresso week",
        "text": "Twenty percent off.",
        "intents": ("espresso_machine", "pricing"),
        "excluded_intents": ("cancel_order",),
        "ends_at": AT + timedelta(days=9),
        "deleted": False,
        "changed_at": AT,
        "embedding_model": "m@1",
        "vector": vector(1, 1 / 3),
    }
    return Campaign(**{**fields, **changes})
