"""A call to a model and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation; ``role`` is system, user or assistant.

    ``images`` are https addresses or data URLs (``data:image/png;base64,...``).
    """

    role: str
    content: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent to a provider. ``model`` is the name the provider knows.

    ``schema`` is a JSON Schema (2020-12) for the text of the answer.
    """

    model: str
    turns: tuple[Turn, ...]
    seed: int | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as a provider counted them; ``input`` includes ``cached``, ``output`` ``reasoning``.

    ``cached`` and ``reasoning`` are None if the provider does not tell them apart.
    """

    input: int
    output: int
    cached: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered. ``tokens`` is None if it did not count them.

    ``first_token_seconds`` is known of streamed calls only. ``cost_usd`` is what the provider
    itself says that the call cost. ``not_settable`` names parameters of the call that the
    provider does not take and that were left out.
    """

    text: str
    model: str
    response_id: str
    finish_reason: str | None
    tokens: Tokens | None
    simulated: bool
    first_token_seconds: float | None = None
    cost_usd: Decimal | None = None
    not_settable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """USD per token, exactly. ``version`` names the price list. None: no price of its own.

    Cached input tokens without a price of their own cost as much as others.
    """

    version: str
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    request: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model: None where neither the configuration nor the catalog says.

    ``not_settable`` names parameters (``temperature``, ``seed``) that the model refuses, so that
    they are left out. ``fallbacks`` are names ``provider/model``.
    """

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    price: ModelPrice | None = None
    not_settable: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What the configuration allows one model of one provider. None: no limit but the adaptive.

    ``concurrency`` is the most calls at once, ever.
    """

    concurrency: int = 512
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def shared(self, share: float) -> LaneLimits:
        """The part of the limits that one of several processes may use."""
        return LaneLimits(
            max(1, int(self.concurrency * share)),
            _part(self.requests_per_minute, share),
            _part(self.tokens_per_minute, share),
        )


def _part(limit: int | None, share: float) -> int | None:
    return None if limit is None else max(1, int(limit * share))


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model in a provider's list. Prices in USD per token, by the list's own words.

    ``prices`` has ``input`` and ``output`` and may have ``cached_input``, ``cache_write``,
    ``reasoning``, ``request``, ``image``, ``web_search``; it is None if the list has none.
    """

    name: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    prices: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """A provider's list of models. ``version`` is a digest of its content.

    ``complete`` False: it has no list that is read, and any model may be asked of it.
    """

    provider: str
    version: str
    models: tuple[ListedModel, ...]
    simulated: bool
    complete: bool = True


UNLISTED = "unlisted"
"""The version of what is told of a provider without a list."""


class Claim(Enum):
    """What is known about a claimed completion.

    ``FRESH``: never tried. ``UNKNOWN``: an earlier holder vanished, so a call may have been made
    and paid.
    """

    FRESH = "fresh"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Key:
    """A completion: tenant first, no look-up goes by the id alone."""

    tenant_id: str
    completion_id: UUID


@dataclass(frozen=True, slots=True)
class BudgetOf:
    """The budget that a completion draws on."""

    budget_id: UUID
    limit_usd: Decimal


@dataclass(frozen=True, slots=True)
class Ask:
    """Money that a claimed completion may cost at most, in USD."""

    key: Key
    budget: BudgetOf
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Queued:
    """A request as the store keeps it: what decides its turn, and the record it came in.

    ``lane`` is the requested model. ``interactive`` goes first. ``fallback``: True if the request
    names models to fall back to, False if it wants none, None if the configuration decides.
    ``headers`` and ``body`` are the record's.
    """

    key: Key
    lane: str
    parent_id: UUID
    interactive: bool
    weight: int
    fallback: bool | None
    deadline: datetime
    headers: tuple[tuple[str, bytes], ...]
    body: bytes
    cache_key: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A queued request that this process now holds.

    ``cancelled``: its parent was cancelled.
    """

    key: Key
    lane: str
    claim: Claim
    cancelled: bool
    headers: tuple[tuple[str, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a completion as it is stored: the finished event, with what it was worth.

    ``cost_usd`` is charged to the budget that reserved for it, which gets the reserve back.
    """

    key: Key
    headers: Mapping[str, str]
    payload: bytes
    outcome: str
    model_called: str | None = None
    tokens: Tokens | None = None
    cost_usd: Decimal | None = None
    price_version: str | None = None


class Grant(Enum):
    """What a budget says to a call.

    ``GRANTED``: set aside. ``WAIT``: it fits only if calls in flight cost less than they may.
    ``DENIED``: it does not fit whatever they cost.
    """

    GRANTED = "granted"
    WAIT = "wait"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Room:
    """How many completions of one lane may be claimed now, and by whom.

    ``batch`` of the ``total`` may be batch requests. ``only_with_fallback``: the lane's breaker
    is open, so only requests that may go elsewhere. ``configured_fallback``: whether the
    configuration has fallbacks for the lane.
    """

    lane: str
    total: int
    batch: int
    only_with_fallback: bool = False
    configured_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Depth:
    """The queue: how many wait, and for how long the oldest has, in seconds."""

    waiting: int
    oldest_seconds: float
