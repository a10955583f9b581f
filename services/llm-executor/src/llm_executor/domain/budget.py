"""Setting money aside for calls, so that no budget is overdrawn by calls side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from llm_executor.domain.models import Ask, Grant, Key

NOTHING = Decimal(0)
Of = tuple[str, UUID]
"""Tenant and budget."""


@dataclass(frozen=True, slots=True)
class Purse:
    """A budget's state in USD: spent for good, and reserved for calls in flight."""

    spent: Decimal = NOTHING
    reserved: Decimal = NOTHING

    def asked(self, limit: Decimal, usd: Decimal) -> tuple[Grant, Decimal]:
        """What it says to an amount, and what it has left for it.

        Granted if it fits beside all that is spent and reserved, as nothing always does; to wait
        if it would fit once nothing is reserved any more; else denied.
        """
        free = limit - self.spent - self.reserved
        if usd <= max(NOTHING, free):
            return Grant.GRANTED, free
        left = max(NOTHING, limit - self.spent)
        return (Grant.WAIT, free) if usd <= left else (Grant.DENIED, left)


@dataclass
class Allotment:
    """Asks answered in turn against budgets that nobody else changes meanwhile.

    ``purses`` are left as they must be stored, ``reserved`` is what each completion has now, and
    ``tight`` names the budgets that let one wait.
    """

    purses: dict[Of, Purse]
    reserved: dict[Key, Decimal] = field(default_factory=dict)
    tight: set[Of] = field(default_factory=set)

    def answer(
        self, asks: Sequence[Ask], before: Mapping[Key, Decimal]
    ) -> list[tuple[Grant, Decimal]]:
        """Answer all; ``before`` is what the completions had set aside already.

        One that is not in it has ended meanwhile. It is given nothing, which nobody would return.
        """
        return [
            self._one(ask, self.reserved.get(ask.key, before[ask.key]))
            if ask.key in before
            else (Grant.WAIT, NOTHING)
            for ask in asks
        ]

    def _one(self, ask: Ask, before: Decimal) -> tuple[Grant, Decimal]:
        of = (ask.key.tenant_id, ask.budget.budget_id)
        purse = Purse(self.purses[of].spent, self.purses[of].reserved - before)
        grant, left = purse.asked(ask.budget.limit_usd, ask.usd)
        granted = ask.usd if grant is Grant.GRANTED else NOTHING
        self.purses[of] = Purse(purse.spent, purse.reserved + granted)
        self.reserved[ask.key] = granted
        if grant is Grant.WAIT:
            self.tight.add(of)
        return grant, left
