"""JSON shapes of tenants and users."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.domain.access import Role, Tier
from gateway.domain.tenants import Tenant, User
from gateway.schemas.common import RequestBody, ShortText
from gateway.schemas.keys import CreatedKeyView

# Whether mail arrives is not for a pattern to say: one @ between two words, no blanks.
Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$"
    ),
]


class OwnerIn(RequestBody):
    """The first user of a tenant."""

    email: Email
    name: ShortText


class TenantRequest(RequestBody):
    """A new tenant."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Quillnote Ltd",
                    "tier": "pro",
                    "owner": {"email": "ada@quillnote.example", "name": "Ada"},
                }
            ]
        },
    )

    name: ShortText
    tier: Tier = Tier.FREE
    owner: OwnerIn


class UserRequest(RequestBody):
    """A new user."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"email": "bo@quillnote.example", "name": "Bo", "role": "analyst"}]
        },
    )

    email: Email
    name: ShortText
    role: Role = Field(description="owner: all; analyst: read and write; viewer: read")


class UserChange(RequestBody):
    """What to change of a user."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "viewer"}]})

    role: Role


class TenantView(BaseModel):
    """A tenant."""

    tenant_id: str
    name: str
    tier: Tier
    created_at: datetime


class UserView(BaseModel):
    """A user. None of their keys is valid while ``disabled_at`` is set."""

    user_id: UUID
    email: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None


class UserPage(BaseModel):
    """Users in the order they were made."""

    items: list[UserView]
    next_cursor: str | None = Field(description="for the next page; null: this is the last")


class CreatedTenantView(BaseModel):
    """A tenant with its owner, and the owner's first key, whose secret is shown this once."""

    tenant: TenantView
    owner: UserView
    key: CreatedKeyView


def tenant_view(tenant: Tenant) -> TenantView:
    """A tenant as JSON."""
    return TenantView(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        tier=tenant.tier,
        created_at=tenant.created_at,
    )


def user_view(user: User) -> UserView:
    """A user as JSON."""
    return UserView(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        role=user.role,
        created_at=user.created_at,
        disabled_at=user.disabled_at,
    )
