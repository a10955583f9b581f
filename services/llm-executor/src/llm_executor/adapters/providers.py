"""The providers that the configuration names, made when first called, and their models' facts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llm_executor.adapters.accounts import (
    ANY_MODEL,
    UNKNOWN,
    Account,
    BadProviders,
    ModelConfig,
    check_accounts,
    read_accounts,
)
from llm_executor.adapters.openai import OpenAIProvider
from llm_executor.adapters.wire import NO_KEY, Access
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import (
    Call,
    Catalog,
    LaneLimits,
    ListedModel,
    ModelFacts,
    ModelPrice,
    Reply,
)
from llm_executor.domain.ports import OnText, Provider

if TYPE_CHECKING:
    from llm_executor.adapters.anthropic import AnthropicProvider

__all__ = ["BUILT_IN", "Account", "BadProviders", "ConfiguredProviders", "read_accounts"]

BUILT_IN = Path(__file__).with_name("providers.toml")
_MOST_REMEMBERED = 10_000
_NOTHING = ModelFacts()
_NOT_LISTED = ListedModel("")
# A dated snapshot, or "latest", of a model that catalogs list by its name alone.
_SNAPSHOT = re.compile(r"-(20\d{6}|latest)$")


def _anthropic_provider() -> type[AnthropicProvider]:
    """Loaded only where it is used: the SDK takes a second to import."""
    from llm_executor.adapters.anthropic import AnthropicProvider  # noqa: PLC0415

    return AnthropicProvider


class ConfiguredProviders:
    """Makes SDK clients from accounts; keys are read from the environment and nowhere kept."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        check_accounts(accounts)
        self._accounts = dict(accounts)
        self._open: dict[str, OpenAIProvider | AnthropicProvider] = {}
        if any(account.sdk == "anthropic" and _has_key(account) for account in accounts.values()):
            _anthropic_provider()  # its second is spent now, not while calls are under way
        self._lists_only: dict[str, _ListsOnly] = {}
        self._listed: dict[str, _Listed] = {}
        self._facts: dict[str, ModelFacts] = {}

    def named(self, name: str) -> Provider:
        """The provider's client. Raises CallFailed that says which variable is missing.

        Without its key, a provider whose list is public can list its models and no more.
        """
        if name in self._open:
            return self._open[name]
        account = self._account(name)
        if account.public_catalog and not _has_key(account):
            return self._without_key(name, account)
        self._open[name] = self._opened(name, account, _key(name, account))
        return self._open[name]

    def facts(self, model: str) -> ModelFacts:
        """What is known of ``provider/model``: configured, listed, or listed where it is priced."""
        found = self._facts.get(model)
        if found is None:
            if len(self._facts) >= _MOST_REMEMBERED:
                self._facts.clear()  # anybody may ask for any name
            found = self._facts[model] = self._facts_of(model)
        return found

    def limits(self, model: str) -> LaneLimits:
        """What the configuration allows ``provider/model``."""
        account, _, name = self._parts(model)
        return LaneLimits() if account is None else _config(account, name).limits

    def lane(self, model: str) -> str:
        """``model`` if it is configured or listed; else its provider's lane for all others.

        Providers that are not configured share one, so that requests cannot make lanes.
        """
        account, provider, name = self._parts(model)
        if account is None:
            return f"{UNKNOWN}/{ANY_MODEL}"
        listed = self._listed.get(provider)
        if name in account.models or (listed is not None and name in listed.models):
            return model
        return f"{provider}/{ANY_MODEL}"

    def listing(self) -> Sequence[str]:
        """Providers whose list can be read, and is of use to one that can be called."""
        wanted = set()
        for name, account in self._accounts.items():
            if _has_key(account):
                wanted |= {name, account.priced_by}
        return [name for name in sorted(self._accounts) if name in wanted and self._lists(name)]

    def unlisted(self) -> Sequence[str]:
        """The others: no key, or no list."""
        return sorted(self._accounts.keys() - set(self.listing()))

    def learn(self, catalog: Catalog) -> None:
        """Use this catalog in the place of the provider's earlier one."""
        self._listed[catalog.provider] = _Listed.of(catalog)
        self._facts.clear()

    async def close(self) -> None:
        """Close all clients."""
        for provider in [*self._open.values(), *self._lists_only.values()]:
            await provider.close()

    def _parts(self, model: str) -> tuple[Account | None, str, str]:
        provider, _, name = model.partition("/")
        return self._accounts.get(provider), provider, name

    def _account(self, name: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            known = ", ".join(sorted(self._accounts))
            message = f"no provider {name!r} is configured; there are: {known}"
            raise CallFailed("unknown-provider", message)
        return account

    def _opened(self, name: str, account: Account, key: str) -> OpenAIProvider | AnthropicProvider:
        access = Access(name, account.base_url, key, account.api_key_env, account.simulated)
        facts = partial(self._facts_at, name)
        if account.sdk == "anthropic":
            return _anthropic_provider()(access, facts)
        return OpenAIProvider(access, facts, reports_cost=account.reports_cost)

    def _facts_at(self, provider: str, model: str) -> ModelFacts:
        return self.facts(f"{provider}/{model}")

    def _without_key(self, name: str, account: Account) -> _ListsOnly:
        if name not in self._lists_only:
            self._lists_only[name] = _ListsOnly(name, account, self._opened(name, account, ""))
        return self._lists_only[name]

    def _lists(self, name: str) -> bool:
        account = self._accounts[name]
        return account.catalog and (account.public_catalog or _has_key(account))

    def _facts_of(self, model: str) -> ModelFacts:
        account, provider, name = self._parts(model)
        if account is None:
            return _NOTHING
        config = _config(account, name)
        own, own_price = self._found(provider, name)
        other, other_price = self._priced(account, provider, name, config)
        unlisted = _unlisted(own)
        return ModelFacts(
            config.context_tokens or own.context_tokens or other.context_tokens,
            config.max_output_tokens or own.max_output_tokens or other.max_output_tokens,
            config.price or own_price or other_price,
            unlisted if config.not_settable is None else config.not_settable,
            config.fallbacks,
        )

    def _priced(
        self, account: Account, provider: str, name: str, config: ModelConfig
    ) -> tuple[ListedModel, ModelPrice | None]:
        """What the catalog says that this provider is priced by."""
        if account.priced_by is None:
            return _NOT_LISTED, None
        prefix = f"{provider}/" if account.prefix is None else account.prefix
        return self._found(account.priced_by, config.priced_as or prefix + name, loosely=True)

    def _found(
        self, provider: str, name: str, *, loosely: bool = False
    ) -> tuple[ListedModel, ModelPrice | None]:
        listed = self._listed.get(provider)
        if listed is None:
            return _NOT_LISTED, None
        model = listed.models.get(name)
        if model is None and loosely:
            model = listed.loosely.get(_loose(name))
        if model is None:
            return _NOT_LISTED, None
        return model, _price(model.prices, listed.version)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A catalog to look models up in. ``loosely`` has none whose loose name is another's too."""

    version: str
    models: Mapping[str, ListedModel]
    loosely: Mapping[str, ListedModel | None]

    @classmethod
    def of(cls, catalog: Catalog) -> _Listed:
        loosely: dict[str, ListedModel | None] = {}
        for model in catalog.models:
            loose = _loose(model.name)
            loosely[loose] = None if loose in loosely else model
        models = {model.name: model for model in catalog.models}
        return cls(f"{catalog.provider}-{catalog.version}", models, loosely)


class _ListsOnly:
    """A provider whose list of models is public, and whose key is missing."""

    simulated = False

    def __init__(self, name: str, account: Account, provider: Provider) -> None:
        self._name = name
        self._account = account
        self._provider = provider

    async def complete(self, call: Call, timeout: float, on_text: OnText | None = None) -> Reply:
        raise _missing_key(self._name, self._account)

    async def catalog(self, timeout: float) -> Catalog:
        return await self._provider.catalog(timeout)

    async def close(self) -> None:
        await self._provider.close()


def _config(account: Account, name: str) -> ModelConfig:
    found = account.models.get(name) or account.models.get(ANY_MODEL)
    return ModelConfig(limits=account.limits) if found is None else found


def _loose(name: str) -> str:
    """A name as providers and catalogs differ in it: claude-x-4-5-20260101 is claude-x-4.5."""
    return _SNAPSHOT.sub("", name.lower()).replace(".", "-")


def _price(prices: Mapping[str, Decimal] | None, version: str) -> ModelPrice | None:
    if prices is None:
        return None
    cached, request = prices.get("cached_input"), prices.get("request")
    return ModelPrice(version, prices["input"], prices["output"], cached, request)


def _unlisted(model: ListedModel) -> tuple[str, ...]:
    """Parameters that a list which names parameters does not have (OpenRouter drops them)."""
    if not model.parameters:
        return ()
    missing = [name for name in ("seed", "temperature") if name not in model.parameters]
    if not {"structured_outputs", "response_format"} & set(model.parameters):
        missing.append("response_schema")
    return tuple(missing)


def _has_key(account: Account) -> bool:
    return account.api_key_env is None or bool(os.environ.get(account.api_key_env, "").strip())


def _key(name: str, account: Account) -> str:
    if account.api_key_env is None:
        return NO_KEY
    # Keys often come out of files with a line end, which no header may hold.
    key = os.environ.get(account.api_key_env, "").strip()
    if not key:
        raise _missing_key(name, account)
    return key


def _missing_key(name: str, account: Account) -> CallFailed:
    variable = account.api_key_env
    return CallFailed("auth", f"no key for {name}: set the environment variable {variable}")
