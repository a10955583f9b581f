"""Tenants and their users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.domain.access import Role, Tier


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose data it is."""

    tenant_id: str
    name: str
    tier: Tier
    created_at: datetime


@dataclass(frozen=True, slots=True)
class User:
    """Someone who works for a tenant. While ``disabled_at`` is set, none of their keys is valid."""

    user_id: UUID
    tenant_id: str
    email: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None = None
