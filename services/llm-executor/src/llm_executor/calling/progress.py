"""What is known of a completion while it is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum

from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import ModelFacts, Reply, Tokens
from llm_executor.domain.pricing import cost


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A model that was tried in vain."""

    model: str
    attempts: int
    failure_kind: str


@dataclass(slots=True)
class Progress:
    """Attempts, tokens and money of all models tried for one completion. Times in seconds."""

    model_called: str | None = None
    attempts: int = 0
    repairs: int = 0
    given_up: list[GivenUp] = field(default_factory=list)
    last_started: datetime | None = None
    provider_seconds: float | None = None
    first_token_seconds: float | None = None
    not_settable: tuple[str, ...] = ()
    simulated: bool = False
    from_cache: bool = False
    outcome_unknown: bool = False
    tokens: Tokens | None = None
    cost_usd: Decimal | None = None
    price_version: str | None = None
    cost_unknown: str | None = None
    complete: bool = True
    _before: int = 0

    def begin(self, model: str) -> None:
        """Turn to a model."""
        self._before = self.attempts

    def give_up(self, model: str, failure: CallFailed) -> None:
        """Leave a model for the next."""
        self.given_up.append(GivenUp(model, self.attempts - self._before, failure.kind))

    def answered(self, model: str, facts: ModelFacts, reply: Reply) -> Decimal | None:
        """Add what a reply took and cost; its cost in USD, None if it is not known."""
        self.simulated = reply.simulated
        self.first_token_seconds = reply.first_token_seconds
        self.not_settable = tuple(dict.fromkeys((*self.not_settable, *reply.not_settable)))
        if reply.tokens is not None:
            self.tokens = _sum(self.tokens, reply.tokens)
        usd, version, unknown = price_of(model, facts, reply)
        if usd is None:
            self.cost_unknown = unknown
        else:
            self.cost_usd = (self.cost_usd or Decimal(0)) + usd
            self.price_version = version
        return usd

    def failed(self, failure: CallFailed) -> None:
        """Note an attempt that may be billed although nothing came of it."""
        self.complete = self.complete and not failure.billed


def price_of(model: str, facts: ModelFacts, reply: Reply) -> tuple[Decimal | None, str | None, str]:
    """USD for a reply, the price list's version, and why there is none if there is none.

    What the provider itself says that it charged goes before any list.
    """
    if reply.cost_usd is not None:
        return reply.cost_usd, "reported-by-provider", ""
    if facts.price is None:
        return (
            None,
            None,
            (
                f"no price for {model}: give input_usd_per_million and output_usd_per_million in "
                "LIMELIGHT_PROVIDERS_FILE"
            ),
        )
    if reply.tokens is None:
        return None, None, f"{model} did not say how many tokens it used"
    return cost(facts.price, reply.tokens), facts.price.version, ""


def _sum(one: Tokens | None, other: Tokens) -> Tokens:
    if one is None:
        return other
    return Tokens(
        one.input + other.input,
        one.output + other.output,
        _both(one.cached, other.cached),
        _both(one.reasoning, other.reasoning),
    )


def _both(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)


class Interrupted(Exception):
    """The completion was cancelled before its next attempt."""


class Stage(Enum):
    """Where a completion is. Only in ``WAITING`` may it be cancelled.

    Once it was ``CALLING`` it may have been paid for; ``RECORDING`` it has a result that must not
    be lost.
    """

    BEGUN = "begun"
    WAITING = "waiting"
    CALLING = "calling"
    RECORDING = "recording"


@dataclass(slots=True)
class Watch:
    """How others stop a completion: only while it waits, never in the middle of a paid call."""

    task: asyncio.Task[None] | None = None
    stage: Stage = Stage.BEGUN
    cancelled: bool = False

    @contextmanager
    def at(self, stage: Stage) -> Iterator[None]:
        """Be in a stage until the block ends."""
        before, self.stage = self.stage, stage
        try:
            yield
        finally:
            self.stage = before

    def cancel(self) -> None:
        """End it if it waits, else before its next attempt."""
        if not self.cancelled:
            self.cancelled = True
            if self.task is not None and self.stage is Stage.WAITING:
                self.task.cancel()

    def check(self) -> None:
        """Raises Interrupted if it was cancelled meanwhile."""
        if self.cancelled:
            raise Interrupted
