"""The transactional store port: inbox, effect and outbox commit together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from bus.outbox import OutboxRow


class Transaction(Protocol):
    """An open transaction. Leaving its block normally commits, by an exception rolls back."""

    async def claim(self, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
        """Enter ``ids`` into the inbox of ``consumer``; return those that were not in it."""

    async def add(self, rows: Sequence[OutboxRow]) -> None:
        """Write rows to the outbox, in order."""


T = TypeVar("T", bound=Transaction)
T_co = TypeVar("T_co", bound=Transaction, covariant=True)


class TransactionalStore(Protocol[T_co]):
    """A service's own store, as the delivery pipeline sees it."""

    def transaction(self) -> AbstractAsyncContextManager[T_co]:
        """A new transaction.

        Raises (from its block or its end):
            Unavailable: the store is down or did not answer in time.
        """

    async def prune(self, inbox_before: datetime, outbox_before: datetime) -> int:
        """Forget inbox and published outbox rows older than these; how many went."""
