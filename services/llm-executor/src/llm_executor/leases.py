"""Keeps this process's claims alive, so that another takes them over only when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from bus.errors import Transient
from runtime.deadline import Deadline
from runtime.logging import logger
from runtime.tasks import Background, wait_for

from llm_executor.domain.models import Key
from llm_executor.domain.ports import CallStore

_log = logger(__name__)


class LeaseRenewal:
    """Renews the claims on ``active`` calls three times in a lease.

    Only calls that are really being made are renewed: a claim that was left behind by a failure
    lapses like that of a dead process.
    """

    def __init__(self, store: CallStore, active: Collection[Key], lease_seconds: float) -> None:
        self._store = store
        self._active = active
        self._lease_seconds = lease_seconds
        self._task = Background("llm-executor leases", self._run)

    async def start(self) -> None:
        """Begin to renew."""
        await self._task.start()

    async def stop(self, deadline: Deadline) -> None:
        """Stop renewing; what is still claimed can be taken over after the lease."""
        await self._task.stop(deadline)

    async def healthy(self) -> bool:
        """Whether renewal is at work."""
        return self._task.running

    async def _run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._store.renew(list(self._active), self._lease_seconds)
            except Transient as error:
                _log.warning("leases not renewed", error=str(error))
            await wait_for(stopping, self._lease_seconds / 3)
