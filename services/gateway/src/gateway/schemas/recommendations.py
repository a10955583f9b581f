"""JSON shapes of recommendations and searches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from contracts.events.marketing import GivenId, SearchHit
from fastapi import Query
from pydantic import BaseModel, Field

from gateway.schemas.common import RequestBody

MOST_ITEMS, MOST_USERS = 20, 500
ListLimit = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="campaigns at most")]


class ReasonView(BaseModel):
    """Why a campaign is recommended; ``text`` is for people to read, the rest for programs."""

    kind: str
    text: str
    weight: float = 0.0
    users: int = 0
    intent: str | None = None


class RecommendedView(BaseModel):
    """One campaign of a list, the best first."""

    campaign_id: str
    title: str
    score: float
    source: str = Field(description="personal, intent or popular")
    reasons: list[ReasonView] = Field(default_factory=list)
    ends_at: datetime | None = None


class RecommendationsView(BaseModel):
    """What a user should see next."""

    user_id: str
    source: str = Field(description="personal, intent or popular")
    cold: bool = Field(description="nothing is known of the user: these are the popular ones")
    as_of: datetime | None = Field(description="null: no list has been made yet")
    ranker_version: str | None
    items: list[RecommendedView]


class BatchRequest(RequestBody):
    """Whose lists to show."""

    user_ids: Annotated[list[GivenId], Field(min_length=1, max_length=MOST_USERS)]
    limit: Annotated[int, Field(ge=1, le=MOST_ITEMS, description="campaigns for each")] = 5


class BatchView(BaseModel):
    """Lists in the order in which they were asked for."""

    items: list[RecommendationsView]


class SearchView(BaseModel):
    """What was found, the nearest first."""

    hits: list[SearchHit]
    model: str = Field(description="name@version of the model whose vectors were compared")
    took_ms: int


class ForgetAccepted(BaseModel):
    """It is stored, and on its way to all who know the user."""

    user_id: str
    forgotten_at: datetime
    event_id: str
