"""Ids that more than one service must come to by itself."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from uuid import UUID, uuid5

# Fixed for ever: what is derived today must be found again tomorrow.
_PROMPT = UUID("0d3c8c6b-55a8-5f5e-9d3e-7c2f4b1a6e90")
_CAPTURED = UUID("b7b1f2de-0c5c-5d1a-8f37-2a9be0c4d511")


def folded(text: str) -> str:
    """A text as it is compared: without regard to case, width, and runs of white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def prompt_id(tenant_id: str, text: str, locale: str | None = None, persona: str = "") -> UUID:
    """The id of a question in a tenant: the same words for the same reader are one prompt."""
    return uuid5(_PROMPT, "\n".join((tenant_id, locale or "", folded(persona), folded(text))))


def captured_run_id(tenant_id: str, captured_at: datetime) -> UUID:
    """The collection of a calendar month (UTC) for answers that name no import of their own."""
    return uuid5(_CAPTURED, f"{tenant_id}\n{captured_month(captured_at)}")


def captured_month(captured_at: datetime) -> str:
    """``YYYY-MM`` in UTC."""
    return captured_at.astimezone(UTC).strftime("%Y-%m")
