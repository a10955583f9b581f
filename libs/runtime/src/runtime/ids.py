"""Identifiers made at origin. Derived ones come from ``contracts.envelope.derived_id``."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A UUIDv7: unique, and sorted by time of creation so that indexes stay dense."""
    return uuid7()
