"""A call to a model and its result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent to a provider. ``model`` is the name the provider knows."""

    model: str
    turns: tuple[Turn, ...]
    seed: int | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered. Tokens are None if it did not count them."""

    text: str
    model: str
    response_id: str
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    simulated: bool


@dataclass(frozen=True, slots=True)
class Attempted:
    """The end of all attempts of a call: a reply or a failure, with its timings in seconds."""

    reply: Reply | None
    failure_kind: str | None
    failure_message: str | None
    attempts: int
    last_started: datetime | None
    provider_seconds: float | None
    simulated: bool


class Claim(Enum):
    """What claiming a completion found.

    ``FRESH``: ours, never tried. ``TAKEN_OVER``: ours, but an earlier holder vanished, so a call
    may have been made and paid. ``HELD``: another holder is at work. ``FINISHED``: done already.
    """

    FRESH = "fresh"
    TAKEN_OVER = "taken-over"
    HELD = "held"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Key:
    """A completion: tenant first, no look-up goes by the id alone."""

    tenant_id: str
    completion_id: UUID
