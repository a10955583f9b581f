"""The providers that the configuration names, made when first called."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llm_executor.adapters.openai import OpenAIProvider
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.ports import Provider

BUILT_IN = Path(__file__).with_name("providers.toml")
NO_KEY = "no-key-is-needed"
"""What a provider is sent that asks for no key; the SDK wants one all the same."""


@dataclass(frozen=True)
class Account:
    """Where a provider is, and which environment variable holds its key (None: it needs none).

    ``simulated`` says of a simulator's failures what its answers say themselves.
    """

    base_url: str
    api_key_env: str | None = None
    simulated: bool = False


class BadProviders(ValueError):
    """The providers file cannot be used; says where and why."""


def read_accounts(path: Path) -> dict[str, Account]:
    """Read a providers file: one table per provider. Raises BadProviders."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: Account(**table) for name, table in tables.items()}
    except (OSError, ValueError, TypeError) as error:
        raise BadProviders(
            f"{path}: {error}; each provider is a table with base_url and api_key_env"
        ) from error


class ConfiguredProviders:
    """Makes SDK clients from accounts; keys are read from the environment and nowhere kept."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._open: dict[str, OpenAIProvider] = {}

    def named(self, name: str) -> Provider:
        """The provider's client. Raises CallFailed that says which variable is missing."""
        if name not in self._open:
            self._open[name] = self._opened(name)
        return self._open[name]

    async def close(self) -> None:
        """Close all clients."""
        for provider in self._open.values():
            await provider.close()

    def _opened(self, name: str) -> OpenAIProvider:
        account = self._accounts.get(name)
        if account is None:
            known = ", ".join(sorted(self._accounts))
            raise CallFailed(
                "unknown-provider",
                f"no provider {name!r} is configured; there are: {known}",
                retryable=False,
            )
        key = _key(name, account)
        return OpenAIProvider(name, account.base_url, key, simulated=account.simulated)


def _key(name: str, account: Account) -> str:
    if account.api_key_env is None:
        return NO_KEY
    key = os.environ.get(account.api_key_env, "")
    if not key:
        raise CallFailed(
            "auth",
            f"no key for {name}: set the environment variable {account.api_key_env}",
            retryable=False,
        )
    return key
