"""Keeps this process's claims alive, so that another takes them over only when it is gone."""

from __future__ import annotations

from collections.abc import Collection

from bus.errors import Transient
from runtime.tasks import Periodic

from llm_executor.domain.models import Key
from llm_executor.domain.ports import CallStore


def lease_renewal(store: CallStore, active: Collection[Key], lease_seconds: float) -> Periodic:
    """Renews the claims on ``active`` calls three times in a lease.

    Only calls that are really being made are renewed: a claim that was left behind by a failure
    lapses like that of a dead process.
    """

    async def renew() -> None:
        await store.renew(list(active), lease_seconds)

    return Periodic("llm-executor leases", lease_seconds / 3, renew, (Transient,))
