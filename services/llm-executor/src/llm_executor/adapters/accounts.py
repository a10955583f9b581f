"""The providers file: which providers there are, and what is laid down for their models."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from llm_executor.adapters.wire import count, short_name, usd
from llm_executor.domain.models import LaneLimits, ModelPrice

T = TypeVar("T")

ANY_MODEL = "*"
"""The table of all models that have none of their own."""

UNKNOWN = "unknown"
"""Stands for all providers that are not configured, so that none can have this name."""

SETTABLE = ("seed", "temperature", "max_output_tokens", "response_schema")
SDKS = ("openai", "anthropic")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_MODEL = re.compile(r"[a-z0-9][a-z0-9-]{0,63}/\S{1,135}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USD = "USD, as a string or a number that is not negative"


class BadProviders(ValueError):
    """The providers file cannot be used; says where and what is expected there."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What the configuration says of a model; None where it leaves that to the catalogs.

    ``priced_as`` is the model's name in the catalog that its provider is priced by.
    """

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    price: ModelPrice | None = None
    not_settable: tuple[str, ...] | None = None
    fallbacks: tuple[str, ...] = ()
    limits: LaneLimits = field(default_factory=LaneLimits)
    priced_as: str | None = None


@dataclass(frozen=True)
class Account:
    """Where a provider is, and which environment variable holds its key (None: it needs none).

    ``simulated`` says of a simulator's failures what its answers say themselves. ``catalog``:
    whether its list of models is read; ``public_catalog``: the list can be read without a key.
    ``priced_by`` is a provider whose catalog has the prices of this one's models, their names
    after ``prefix``. ``reports_cost``: its answers say what they cost if they are asked to.
    ``limits`` are those of each of its models that has none of its own.
    """

    base_url: str
    api_key_env: str | None = None
    simulated: bool = False
    sdk: str = "openai"
    catalog: bool = True
    public_catalog: bool = False
    priced_by: str | None = None
    prefix: str | None = None
    reports_cost: bool = False
    limits: LaneLimits = field(default_factory=LaneLimits)
    models: Mapping[str, ModelConfig] = field(default_factory=dict)


def read_accounts(path: Path) -> dict[str, Account]:
    """Read a providers file: one table per provider. Raises BadProviders."""
    document = _Table(path, _document(path))
    version = document.optional("price_version", short_name, "a short name of the file's prices")
    accounts = {}
    for name in document.others():
        if not _PROVIDER.fullmatch(name) or name == UNKNOWN:
            wanted = f"a provider's name: lower-case letters, digits, hyphens, not {UNKNOWN!r}"
            raise document.error(name, wanted)
        accounts[name] = _account(document.table(name), version)
    return accounts


def check_accounts(accounts: Mapping[str, Account]) -> None:
    """Check what accounts say of each other. Raises BadProviders."""
    known = ", ".join(sorted(accounts))
    for name, account in accounts.items():
        if account.priced_by is not None and account.priced_by not in accounts:
            raise BadProviders(
                f"{name}.priced_by: no provider {account.priced_by!r}; there are: {known}"
            )
        for model, config in account.models.items():
            for fallback in config.fallbacks:
                if fallback.partition("/")[0] not in accounts:
                    where = f"{name}.models.{model}.fallbacks"
                    raise BadProviders(f"{where}: no provider for {fallback!r}; there are: {known}")


def _document(path: Path) -> object:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError, ArithmeticError, RecursionError) as error:
        raise BadProviders(f"{path}: expected a readable TOML file: {error}") from error


class _Table:
    """A table of the file: typed reads, and an error for keys that nobody read."""

    def __init__(self, path: Path, value: object, *names: str) -> None:
        self._path = path
        self._names = names
        self._read: set[str] = set()
        if not isinstance(value, dict):
            raise BadProviders(f"{path}: {'.'.join(names)}: expected a table")
        self._values: dict[str, object] = value

    def error(self, key: str, expected: str) -> BadProviders:
        """A mistake at ``key``. Never shows the value: it may be a key in the wrong place."""
        return BadProviders(f"{self._path}: {'.'.join((*self._names, key))}: expected {expected}")

    def optional(self, key: str, read: Callable[[object], T | None], expected: str) -> T | None:
        self._read.add(key)
        if key not in self._values:
            return None
        found = read(self._values[key])
        if found is None:
            raise self.error(key, expected)
        return found

    def flag(self, key: str, *, default: bool) -> bool:
        found = self.optional(key, _flag, "true or false")
        return default if found is None else found

    def table(self, key: str) -> _Table:
        self._read.add(key)
        return _Table(self._path, self._values.get(key, {}), *self._names, key)

    def others(self) -> list[str]:
        """Keys that nobody has read yet."""
        return [key for key in self._values if key not in self._read]

    def close(self) -> None:
        if unknown := self.others():
            raise self.error(unknown[0], f"one of {', '.join(sorted(self._read))}")


def _account(table: _Table, price_version: str | None) -> Account:
    base_url = table.optional("base_url", _address, _AN_ADDRESS)
    if base_url is None:
        raise table.error("base_url", _AN_ADDRESS)
    limits = _limits(table, LaneLimits())
    account = Account(
        base_url=base_url,
        api_key_env=table.optional("api_key_env", _variable, "the name of a variable, not a key"),
        sdk=table.optional("sdk", _sdk, " or ".join(SDKS)) or SDKS[0],
        catalog=table.flag("catalog", default=True),
        public_catalog=table.flag("public_catalog", default=False),
        priced_by=table.optional("priced_by", short_name, "the name of a provider"),
        prefix=table.optional("prefix", short_name, "what stands before its models' names"),
        reports_cost=table.flag("reports_cost", default=False),
        limits=limits,
        models=_models(table.table("models"), limits, price_version),
    )
    table.close()
    return account


def _models(table: _Table, limits: LaneLimits, version: str | None) -> dict[str, ModelConfig]:
    names = table.others()
    general = ModelConfig(limits=limits)
    if ANY_MODEL in names:
        general = _model(table.table(ANY_MODEL), general, version)
    return {name: _model(table.table(name), general, version) for name in names}


def _model(table: _Table, general: ModelConfig, version: str | None) -> ModelConfig:
    """``general`` says what the table leaves out."""
    tokens = "a number of tokens above 0"
    settable = f"a list of some of {', '.join(SETTABLE)}"
    found = {
        "context_tokens": table.optional("context_tokens", _whole, tokens),
        "max_output_tokens": table.optional("max_output_tokens", _whole, tokens),
        "price": _price(table, version),
        "not_settable": table.optional("not_settable", _settable, settable),
        "fallbacks": table.optional("fallbacks", _fallbacks, 'a list of "provider/model"'),
        "limits": _limits(table, general.limits),
        "priced_as": table.optional("priced_as", short_name, "its name in that catalog"),
    }
    table.close()
    said = {name: value for name, value in found.items() if value is not None}
    return replace(general, **said)  # type: ignore[arg-type]  # each was read as what it is


def _price(table: _Table, version: str | None) -> ModelPrice | None:
    asked = table.optional("input_usd_per_million", _per_token, _USD)
    answered = table.optional("output_usd_per_million", _per_token, _USD)
    cached = table.optional("cached_input_usd_per_million", _per_token, _USD)
    request = table.optional("request_usd", usd, _USD)
    if asked is None and answered is None and cached is None and request is None:
        return None
    if asked is None or answered is None:
        missing = "input_usd_per_million" if asked is None else "output_usd_per_million"
        raise table.error(missing, f"{_USD}, beside the model's other prices")
    if version is None:
        raise table.error("input_usd_per_million", "price_version at the top of the file as well")
    return ModelPrice(version, asked, answered, cached, request)


def _limits(table: _Table, general: LaneLimits) -> LaneLimits:
    above = "a whole number above 0"
    concurrency = table.optional("max_concurrency", _whole, above)
    requests = table.optional("requests_per_minute", _whole, above)
    tokens = table.optional("tokens_per_minute", _whole, above)
    return LaneLimits(
        concurrency or general.concurrency,
        requests or general.requests_per_minute,
        tokens or general.tokens_per_minute,
    )


_AN_ADDRESS = "http://... or https://... without user, query or fragment"


def _address(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value)
        plain = bool(parts.hostname) and not (parts.username or parts.query or parts.fragment)
        usable = plain and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return None
    return value if usable else None


def _variable(value: object) -> str | None:
    return value if isinstance(value, str) and _VARIABLE.fullmatch(value) else None


def _sdk(value: object) -> str | None:
    return value if isinstance(value, str) and value in SDKS else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return count(value) or None


def _per_token(value: object) -> Decimal | None:
    price = usd(value)
    if price is None:
        return None
    sign, digits, exponent = price.as_tuple()
    assert isinstance(exponent, int)  # a plausible amount of money is finite
    return Decimal((sign, digits, exponent - 6))  # division would round to the context's digits


def _settable(value: object) -> tuple[str, ...] | None:
    return _names(value, lambda name: name in SETTABLE)


def _fallbacks(value: object) -> tuple[str, ...] | None:
    return _names(value, lambda name: _MODEL.fullmatch(name) is not None)


def _names(value: object, fits: Callable[[str], bool]) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    names = tuple(name for name in value if isinstance(name, str) and fits(name))
    return names if len(names) == len(value) else None
