"""JSON shapes of API keys."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gateway.domain.access import Scope, Tier
from gateway.domain.models import ApiKey
from gateway.schemas.common import RequestBody, ShortText

GivenScope = Literal[Scope.READ, Scope.WRITE, Scope.ADMIN]


class KeyRequest(RequestBody):
    """A new API key. With a name alone it may do what its maker may, for as long."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "nightly job"},
                {
                    "name": "dashboard",
                    "scopes": ["read"],
                    "tier": "free",
                    "expires_at": "2030-01-01T00:00:00Z",
                },
            ]
        },
    )

    name: ShortText
    scopes: Annotated[list[GivenScope], Field(min_length=1, max_length=3)] | None = Field(
        default=None, description="by default all that the maker and the user's role share"
    )
    tier: Tier | None = Field(default=None, description="by default the maker's")
    user_id: UUID | None = Field(
        default=None, description="whose key it is, by default the maker's user; others need admin"
    )
    expires_at: AwareDatetime | None = Field(default=None, description="by default the maker's")


class KeyView(BaseModel):
    """A key without its secret."""

    key_id: UUID
    name: str
    prefix: str
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None
    scopes: list[Scope] = Field(description="what it may do now; its user's role bounds it")
    tier: Tier = Field(description="what counts now; its tenant's tier bounds it")
    user_id: UUID | None
    disabled_at: AwareDatetime | None = Field(description="when its user was disabled")
    expires_at: AwareDatetime | None
    last_used_at: AwareDatetime | None = Field(description="some seconds late")
    made_by: UUID | None = Field(description="the key that asked for it")


class CreatedKeyView(KeyView):
    """A key with its secret, shown once."""

    secret: str


def key_view(key: ApiKey) -> KeyView:
    """A key as JSON."""
    return KeyView(
        key_id=key.key_id,
        name=key.name,
        prefix=key.prefix,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        scopes=[scope for scope in Scope if scope in key.scopes],
        tier=key.tier,
        user_id=key.user_id,
        disabled_at=key.disabled_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        made_by=key.made_by,
    )


def created_key_view(key: ApiKey, secret: str) -> CreatedKeyView:
    """A new key as JSON."""
    return CreatedKeyView(secret=secret, **key_view(key).model_dump())
