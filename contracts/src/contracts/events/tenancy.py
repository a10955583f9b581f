"""Tenants: which there are."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from contracts.events.base import Event


class TenantChanged(Event):
    """A tenant as it is from ``changed_at`` on; of two states the later one holds.

    It says that the tenant is there, or with ``deleted`` that it no longer is. What it is called
    and what it may do is nobody's business but the gateway's.
    """

    tenant_id: Annotated[str, Field(min_length=1, max_length=200)]
    deleted: bool = False
    changed_at: AwareDatetime
