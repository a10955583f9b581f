"""The service's parts on stores in memory, with a model that counts words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
from embedding.adapters.memory import MemoryLake, MemoryVectorIndex
from embedding.domain.audience import Audience
from embedding.domain.models import Message, UserKey, Vector
from embedding.domain.ports import Lake, VectorIndex
from embedding.domain.profiles import Profiles
from embedding.domain.rules import message_uuid
from embedding.domain.searching import Archive
from embedding.domain.states import Recipe
from embedding.domain.surroundings import FRESH, Catalogs, Surveyor
from embedding.handlers import Parts
from runtime.clock import HeldClock

NOW = datetime(2026, 11, 4, 12, 0, tzinfo=UTC)
ADA, BEN = UserKey("kaffeehaus", "ada"), UserKey("kaffeehaus", "ben")
ADA_ELSEWHERE = UserKey("bluebird", "ada")
MONTH = timedelta(days=30)


class WordCounts:
    """An embedder: each word has a place of its own. Knows no text without letters or digits."""

    def __init__(self, model: str = "words@1") -> None:
        self.model = model
        self.embedded: list[str] = []

    async def embed(self, kind: str, texts: Sequence[str]) -> Sequence[Vector | None]:
        """Counts, to length 1."""
        self.embedded += texts
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> Vector | None:
        """The same for the same words, in whatever order."""
        counts = np.zeros(384, dtype=np.float32)
        for word in "".join(char if char.isalnum() else " " for char in text.lower()).split():
            digest = sha256(f"{self.model} {word}".encode()).digest()
            counts[int.from_bytes(digest[:4], "big") % 384] += 1
        length = float(np.linalg.norm(counts))
        unit: Vector = counts / max(length, 1.0)
        return unit if length else None


class Kit:
    """Parts, and the stores behind them."""

    def __init__(
        self,
        lake: Lake | None = None,
        index: VectorIndex | None = None,
        *,
        half_life: timedelta = MONTH,
        model: str = "words@1",
        fresh: timedelta = FRESH,
    ) -> None:
        self.memory = MemoryLake()
        self.vectors = MemoryVectorIndex()
        self.lake: Lake = lake or self.memory
        self.index: VectorIndex = index or self.vectors
        self.clock = HeldClock(NOW)
        self.words = WordCounts(model)
        recipe = Recipe(model, half_life)
        self.profiles = Profiles(self.lake, self.index, self.words, recipe, self.clock)
        self.catalogs = Catalogs(self.lake, self.words, self.clock, fresh)
        archive = Archive(self.lake, self.index, self.words)
        surveyor = Surveyor(self.index, self.catalogs, 50)
        audience = Audience(self.profiles, surveyor)
        self.parts = Parts(
            self.profiles, surveyor, self.catalogs, audience, archive, archive, self.clock
        )


def said(text: str, user: UserKey = ADA, name: str | None = None, **changes: Any) -> Message:
    """Something a user said, with its text as its name."""
    fields: dict[str, Any] = {
        "id": message_uuid(user, "c-1", name or text),
        "user": user,
        "conversation_id": "c-1",
        "message_id": name,
        "role": "user",
        "text": text,
        "sent_at": NOW,
        "said_at": NOW,
        "heard_at": NOW,
    }
    return Message(**{**fields, **changes})
