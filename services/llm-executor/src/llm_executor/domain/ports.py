"""What the domain needs: a provider to call, and a store that remembers every call."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from llm_executor.domain.models import Call, Claim, Key, Reply


class Provider(Protocol):
    """A model provider behind its SDK. ``simulated``: a simulator stands in its place."""

    simulated: bool

    async def complete(self, call: Call, timeout: float) -> Reply:
        """One attempt, no retry, within ``timeout`` seconds. Raises CallFailed."""

    async def close(self) -> None:
        """Close connections."""


class Providers(Protocol):
    """The configured providers."""

    def named(self, name: str) -> Provider:
        """The provider of that name. Raises CallFailed (unknown-provider, auth)."""


class CallStore(Protocol):
    """Remembers claims and results. A result is stored once and never changed."""

    async def claim(self, key: Key, lease_seconds: float) -> Claim:
        """Claim a completion for this process, for ``lease_seconds`` from now."""

    async def record(self, key: Key, headers: dict[str, str], payload: bytes) -> bool:
        """Store a finished event with its mark "not published yet", in one write.

        False if another holder stored one first: then nothing was written.
        """

    async def publish_again(self, key: Key) -> None:
        """Mark the stored event of a finished completion as not published."""

    async def renew(self, keys: Collection[Key], lease_seconds: float) -> None:
        """Extend the leases that this process has on ``keys``."""

    async def release(self, key: Key) -> None:
        """End this process's lease on an unfinished completion, so that it can be claimed anew."""
