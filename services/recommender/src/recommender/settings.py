"""What the recommender can be told."""

from __future__ import annotations

from pydantic import Field
from runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment of the recommender."""

    redis_url: str = Field(
        repr=False,
        pattern="^(rediss?|unix)://",
        description="its data: redis://host:port/0, rediss:// for TLS, or unix:///path",
    )
    list_length: int = Field(default=20, ge=1, le=100, description="campaigns of a list")
    engagement_half_life_days: float = Field(
        default=14.0, gt=0, description="after which an engagement counts half; another starts anew"
    )
    freshness_half_life_days: float = Field(
        default=30.0, gt=0, description="after which a campaign has lost half of its newness"
    )
    dismissed_days: float = Field(
        default=30.0, ge=0, description="how long a dismissed campaign stays away"
    )
    refresh_hours: float = Field(
        default=24.0, gt=0, description="after which a list is made again although nothing happened"
    )
    refresh_per_second: int = Field(
        default=100, ge=1, description="lists that are made again without an event, at most"
    )
    popular_seconds: float = Field(
        default=0.5, gt=0, description="between two popular lists of a tenant, at least"
    )
