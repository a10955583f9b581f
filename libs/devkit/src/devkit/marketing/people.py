"""Draws people: what they say follows from what they want, what they do mostly does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from devkit.marketing.shop import CAMPAIGNS, WANTS, Want

Json = dict[str, Any]
CHANNEL = "generated"
CLICKS, CONVERTS, DISMISSES = 0.55, 0.2, 0.1
"""Shares of shown campaigns that a person who wants them clicks and converts; of others dismiss."""


@dataclass(frozen=True)
class Person:
    """One person: what they want, what they say, what they do."""

    user_id: str
    wants: tuple[str, ...]
    conversation: Json
    engagements: tuple[Json, ...]


@dataclass(frozen=True)
class Sample:
    """People who are drawn one after the other; the same seed draws the same ones."""

    seed: int
    now: datetime

    def people(self, number: int) -> Iterator[Person]:
        """The first ``number`` of them."""
        for at in range(number):
            yield _person(at, random.Random(f"{self.seed}/{at}"), self.now)


def sample(seed: int = 1, now: datetime | None = None) -> Sample:
    """People whose last words were said within two days before ``now``."""
    return Sample(seed, now or datetime.now(UTC))


def _person(number: int, draw: random.Random, now: datetime) -> Person:
    user_id = f"user-{number:06d}"
    wants = draw.sample(WANTS, k=draw.choice((1, 1, 2)))
    begun = now - timedelta(minutes=draw.uniform(60, 2880))
    conversation = {
        "conversation_id": f"talk-{number:06d}",
        "user_id": user_id,
        "channel": CHANNEL,
        "messages": [
            {"text": text, "sent_at": (begun + timedelta(minutes=minute)).isoformat()}
            for minute, text in enumerate(_said(draw, wants))
        ],
    }
    names = tuple(want.name for want in wants)
    deeds = tuple(_deeds(number, user_id, set(names), draw, begun + timedelta(minutes=10)))
    return Person(user_id, names, conversation, deeds)


def _said(draw: random.Random, wants: list[Want]) -> list[str]:
    return [
        draw.choice(want.phrases).format(thing=draw.choice(want.things))
        for want in wants
        for _ in range(draw.choice((1, 2, 3)))
    ]


def _deeds(
    number: int, user_id: str, wants: set[str], draw: random.Random, at: datetime
) -> Iterator[Json]:
    for place, campaign in enumerate(draw.sample(CAMPAIGNS, k=4)):
        wanted = bool(wants & set(campaign["intents"]))
        for kind in _kinds(draw, wanted=wanted):
            yield {
                "engagement_id": f"deed-{number:06d}-{place}-{kind}",
                "user_id": user_id,
                "campaign_id": campaign["campaign_id"],
                "kind": kind,
                "happened_at": (at + timedelta(minutes=place)).isoformat(),
            }


def _kinds(draw: random.Random, *, wanted: bool) -> list[str]:
    luck, kinds = draw.random(), ["impression"]
    if wanted and luck < CLICKS:
        kinds.append("click")
    if wanted and luck < CONVERTS:
        kinds.append("conversion")
    if not wanted and luck < DISMISSES:
        kinds.append("dismissal")
    return kinds
