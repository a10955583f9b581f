"""The executor's ports in memory."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Call, Claim, Key, Reply
from llm_executor.domain.ports import Provider


@dataclass
class _Entry:
    owner: object
    lease_until: float
    payload: bytes | None = None
    headers: dict[str, str] | None = None
    published: bool = False


class MemoryCalls:
    """Entries shared by the stores of several holders."""

    def __init__(self) -> None:
        self.entries: dict[Key, _Entry] = {}


class MemoryCallStore:
    """One holder's view of shared entries."""

    def __init__(self, calls: MemoryCalls | None = None) -> None:
        self._entries = (calls or MemoryCalls()).entries
        self._me = object()

    async def claim(self, key: Key, lease_seconds: float) -> Claim:
        """Take a completion that nobody holds."""
        entry, now = self._entries.get(key), time.monotonic()
        if entry is None:
            self._entries[key] = _Entry(self._me, now + lease_seconds)
            return Claim.FRESH
        if entry.payload is not None:
            return Claim.FINISHED
        if entry.lease_until > now:
            return Claim.HELD
        entry.owner, entry.lease_until = self._me, now + lease_seconds
        return Claim.TAKEN_OVER

    async def record(self, key: Key, headers: dict[str, str], payload: bytes) -> bool:
        """The first result stays."""
        entry = self._entries[key]
        if entry.payload is not None:
            return False
        entry.payload, entry.headers = payload, headers
        return True

    async def publish_again(self, key: Key) -> None:
        """Unmark."""
        self._entries[key].published = False

    async def renew(self, keys: Collection[Key], lease_seconds: float) -> None:
        """Extend what is ours and open."""
        for entry in self._open(keys):
            entry.lease_until = time.monotonic() + lease_seconds

    async def release(self, key: Key) -> None:
        """Let it lapse now."""
        for entry in self._open([key]):
            entry.lease_until = 0.0

    def _open(self, keys: Collection[Key]) -> list[_Entry]:
        found = [self._entries[key] for key in keys if key in self._entries]
        return [entry for entry in found if entry.owner is self._me and entry.payload is None]


class ScriptedProvider:
    """Answers with a list of replies and failures, in turn; keeps what it was asked."""

    simulated = False

    def __init__(self, *script: Reply | CallFailed) -> None:
        self._script = list(script)
        self.calls: list[Call] = []

    async def complete(self, call: Call, timeout: float) -> Reply:
        """The next of the script."""
        self.calls.append(call)
        step = self._script.pop(0)
        if isinstance(step, CallFailed):
            raise step
        return step

    async def close(self) -> None:
        """Nothing is open."""


class FixedProviders:
    """Providers from a dictionary."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers

    def named(self, name: str) -> Provider:
        """By name, or an unknown-provider failure."""
        if name not in self._providers:
            raise CallFailed("unknown-provider", f"no provider {name!r}", retryable=False)
        return self._providers[name]
