"""Providers from files, keys from the environment, and what both say of models."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from llm_executor.adapters.anthropic import AnthropicProvider
from llm_executor.adapters.openai import OpenAIProvider
from llm_executor.adapters.providers import (
    BUILT_IN,
    Account,
    BadProviders,
    ConfiguredProviders,
    read_accounts,
)
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import (
    Call,
    Catalog,
    LaneLimits,
    ListedModel,
    ModelFacts,
    ModelPrice,
    Turn,
)

NOWHERE = "http://127.0.0.1:9/v1"
ACCOUNTS = {
    "keyed": Account(NOWHERE, "ACME_API_KEY"),
    "claude": Account(NOWHERE, sdk="anthropic"),
    "open": Account(NOWHERE),
    "simulator": Account(NOWHERE, simulated=True),
}
FILE = """
price_version = "contract-7"

[acme]
base_url = "https://models.example.com/v1"
api_key_env = "ACME_API_KEY"
priced_by = "router"
prefix = "acme-inc/"
max_concurrency = 64
requests_per_minute = 600

[acme.models."*"]
context_tokens = 8192
tokens_per_minute = 1_000

[acme.models."large/1"]
max_output_tokens = 4096
input_usd_per_million = "1.10"
output_usd_per_million = 4.4000000000000000000000000001
cached_input_usd_per_million = 0
request_usd = "0.01"
not_settable = ["seed", "temperature"]
fallbacks = ["router/acme-inc/large", "acme/small"]
max_concurrency = 4

[router]
base_url = "https://router.example.com/v1"
api_key_env = "ROUTER_API_KEY"
public_catalog = true
reports_cost = true
"""


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ACME", "ROUTER", "OPENAI", "ANTHROPIC", "GEMINI", "OPENROUTER", "GROQ")
    for name in names:
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)


@pytest_asyncio.fixture
async def providers() -> AsyncIterator[ConfiguredProviders]:
    made = ConfiguredProviders(ACCOUNTS)
    yield made
    await made.close()


def file_of(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "providers.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def from_file(tmp_path: Path) -> ConfiguredProviders:
    return ConfiguredProviders(read_accounts(file_of(tmp_path, FILE)))


def catalog(provider: str, *models: ListedModel) -> Catalog:
    return Catalog(provider, "abc", models, simulated=False)


def listed(name: str, price: str | None = None, **more: Any) -> ListedModel:
    prices = None if price is None else {"input": Decimal(price), "output": Decimal(price)}
    return ListedModel(name, prices=prices, **more)


# Clients.


@pytest.mark.asyncio
@pytest.mark.parametrize("value", [None, "", " \n"])
async def test_a_missing_key_is_named_by_its_variable(
    providers: ConfiguredProviders, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is not None:
        monkeypatch.setenv("ACME_API_KEY", value)
    with pytest.raises(CallFailed, match="set the environment variable ACME_API_KEY") as caught:
        providers.named("keyed")
    assert (caught.value.kind, caught.value.retryable) == ("auth", False)


@pytest.mark.asyncio
async def test_a_key_that_came_later_is_used(
    providers: ConfiguredProviders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CallFailed):
        providers.named("keyed")
    monkeypatch.setenv("ACME_API_KEY", "sk-later")
    assert providers.named("keyed") is providers.named("keyed")


@pytest.mark.asyncio
async def test_a_key_from_a_file_may_end_its_line(
    odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_API_KEY", "sk-1\n")
    odd.says({"data": []})
    providers = ConfiguredProviders({"acme": Account(odd.url, "ACME_API_KEY")})
    await providers.named("acme").catalog(5)
    await providers.close()
    assert odd.headers[0]["authorization"] == "Bearer sk-1"


@pytest.mark.asyncio
async def test_an_unknown_provider_lists_the_known_ones(providers: ConfiguredProviders) -> None:
    with pytest.raises(CallFailed, match="there are: claude, keyed, open, simulator") as caught:
        providers.named("acme")
    assert (caught.value.kind, caught.value.retryable) == ("unknown-provider", False)


@pytest.mark.asyncio
async def test_a_provider_may_need_no_key_and_may_be_simulated(
    providers: ConfiguredProviders,
) -> None:
    assert not providers.named("open").simulated
    assert providers.named("simulator").simulated


@pytest.mark.asyncio
async def test_a_provider_is_spoken_to_through_its_sdk(providers: ConfiguredProviders) -> None:
    assert isinstance(providers.named("claude"), AnthropicProvider)
    assert isinstance(providers.named("open"), OpenAIProvider)


@pytest.mark.asyncio
@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_a_public_list_is_read_without_a_key_and_nothing_else_is(
    odd: Any, monkeypatch: pytest.MonkeyPatch, sdk: str
) -> None:
    # The SDKs would take these, and send them to whoever is asked.
    monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-elsewhere")
    odd.says({"data": [{"id": "gpt-5"}]})
    account = Account(odd.url, "ROUTER_API_KEY", public_catalog=True, sdk=sdk)
    providers = ConfiguredProviders({"router": account})
    without = providers.named("router")
    assert [model.name for model in (await without.catalog(5)).models] == ["gpt-5"]
    assert "authorization" not in odd.headers[0]
    with pytest.raises(CallFailed, match="ROUTER_API_KEY") as caught:
        await without.complete(Call("gpt-5", (Turn("user", "Hi"),)), 5)
    assert (caught.value.kind, caught.value.billed) == ("auth", False)
    monkeypatch.setenv("ROUTER_API_KEY", "sk-1")
    await providers.named("router").catalog(5)
    assert odd.headers[1]["authorization"] == "Bearer sk-1"
    await providers.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_a_client_knows_what_is_configured_for_its_models(odd: Any, sdk: str) -> None:
    odd.says(
        {"choices": [{"message": {"content": "a"}}], "content": [{"type": "text", "text": "a"}]}
    )
    account = Account(odd.url, sdk=sdk)
    config = read_accounts(BUILT_IN)["ollama"].models["*"]
    models = {"m": dataclasses.replace(config, not_settable=("temperature",))}
    providers = ConfiguredProviders({"acme": dataclasses.replace(account, models=models)})
    call = Call("m", (Turn("user", "Hi"),), temperature=0.5)
    reply = await providers.named("acme").complete(call, 5)
    await providers.close()
    assert reply.not_settable == ("temperature",)
    assert "temperature" not in odd.bodies[0]


# Files.


def test_the_built_in_providers_are_read() -> None:
    accounts = read_accounts(BUILT_IN)
    names = {"openai", "anthropic", "google", "openrouter", "groq", "ollama"}
    assert accounts.keys() == names
    assert accounts["openai"].base_url == "https://api.openai.com/v1"
    assert accounts["anthropic"].sdk == "anthropic"
    assert accounts["ollama"].api_key_env is None
    assert {name for name in names if accounts[name].priced_by == "openrouter"} == {
        "openai",
        "anthropic",
        "google",
    }
    assert {name for name in names if accounts[name].reports_cost} == {"openrouter"}
    assert not any(account.simulated for account in accounts.values())
    ollama = ConfiguredProviders(accounts).facts("ollama/llama3")
    assert ollama.price is not None
    assert ollama.price.input == ollama.price.output == Decimal(0)


def test_a_file_is_read_to_the_last_digit(from_file: ConfiguredProviders) -> None:
    assert from_file.facts("acme/large/1") == ModelFacts(
        context_tokens=8192,
        max_output_tokens=4096,
        price=ModelPrice(
            "contract-7",
            Decimal("0.00000110"),
            Decimal("0.0000044000000000000000000000000001"),
            Decimal("0"),
            Decimal("0.01"),
        ),
        not_settable=("seed", "temperature"),
        fallbacks=("router/acme-inc/large", "acme/small"),
    )
    assert from_file.facts("acme/other") == ModelFacts(context_tokens=8192)
    assert from_file.facts("nobody/other") == ModelFacts()


def test_the_nearest_limit_counts(from_file: ConfiguredProviders) -> None:
    assert from_file.limits("acme/large/1") == LaneLimits(4, 600, 1000)
    assert from_file.limits("acme/*") == LaneLimits(64, 600, 1000)
    assert from_file.limits("router/any") == LaneLimits()
    assert from_file.limits("nobody/any") == LaneLimits()


@pytest.mark.parametrize(
    ("content", "where", "expected"),
    [
        ("[acme", "", "TOML"),
        ("acme = 1", "acme", "a table"),
        ("[acme]", "acme.base_url", "http://"),
        ("[Acme]\nbase_url = 'http://a'", "Acme", "lower-case"),
        ("[unknown]\nbase_url = 'http://a'", "unknown", "a provider's name"),
        ("[a]\nbase_url = 'ftp://a'", "a.base_url", "http://"),
        ("[a]\nbase_url = 'http://'", "a.base_url", "http://"),
        ("[a]\nbase_url = 'http://me:pw@a'", "a.base_url", "without user"),
        ("[a]\nbase_url = 'http://a:99999'", "a.base_url", "http://"),
        ("[a]\nbase_url = 5", "a.base_url", "http://"),
        ("[a]\nbase_url = 'http://a'\nurl = 'x'", "a.url", "one of api_key_env, base_url"),
        ("[a]\nbase_url = 'http://a'\napi_key = 'sk-1'", "a.api_key", "one of"),
        ("[a]\nbase_url = 'http://a'\napi_key_env = 'sk-1'", "a.api_key_env", "not a key"),
        ("[a]\nbase_url = 'http://a'\nsdk = 'x'", "a.sdk", "openai or anthropic"),
        ("[a]\nbase_url = 'http://a'\ncatalog = 1", "a.catalog", "true or false"),
        ("[a]\nbase_url = 'http://a'\npriced_by = ''", "a.priced_by", "a provider"),
        ("[a]\nbase_url = 'http://a'\nmax_concurrency = 0", "a.max_concurrency", "above 0"),
        ("[a]\nbase_url = 'http://a'\nrequests_per_minute = 1.5", "a.requests_per_minute", "whole"),
        ("[a]\nbase_url = 'http://a'\nmodels = 5", "a.models", "a table"),
        ("[a]\nbase_url = 'http://a'\nmodels.m = 5", "a.models.m", "a table"),
        ("[a]\nbase_url = 'http://a'\nmodels.m.x = 5", "a.models.m.x", "one of"),
        ("[a]\nbase_url = 'http://a'\nmodels.m.context_tokens = true", "context_tokens", "tokens"),
        ("[a]\nbase_url = 'http://a'\nmodels.m.not_settable = ['n']", "not_settable", "seed"),
        ("[a]\nbase_url = 'http://a'\nmodels.m.not_settable = 'seed'", "not_settable", "a list"),
        ("[a]\nbase_url = 'http://a'\nmodels.m.fallbacks = ['m']", "fallbacks", "provider/model"),
        ("price_version = 5", "price_version", "a short name"),
    ],
)
def test_a_mistake_is_named_by_file_and_key(
    tmp_path: Path, content: str, where: str, expected: str
) -> None:
    path = file_of(tmp_path, content)
    with pytest.raises(BadProviders) as caught:
        read_accounts(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert where in said
    assert expected in said
    assert "sk-1" not in said


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        ("input_usd_per_million = '1'", "output_usd_per_million: expected USD"),
        ("output_usd_per_million = '1'", "input_usd_per_million: expected USD"),
        ("request_usd = '1'", "input_usd_per_million: expected USD"),
        ("input_usd_per_million = '-1'\noutput_usd_per_million = '1'", "input_usd_per_million"),
        ("input_usd_per_million = inf\noutput_usd_per_million = '1'", "input_usd_per_million"),
        ("input_usd_per_million = nan\noutput_usd_per_million = '1'", "input_usd_per_million"),
        ("input_usd_per_million = 'a'\noutput_usd_per_million = '1'", "input_usd_per_million"),
        ("input_usd_per_million = true\noutput_usd_per_million = '1'", "input_usd_per_million"),
        ("input_usd_per_million = '1'\noutput_usd_per_million = '1'", "price_version"),
    ],
)
def test_a_mistake_in_a_price_is_named(tmp_path: Path, lines: str, where: str) -> None:
    version = "" if where == "price_version" else "price_version = 'v'\n"
    content = f"{version}[a]\nbase_url = 'http://a'\n[a.models.m]\n{lines}"
    with pytest.raises(BadProviders, match=r"a\.models\.m") as caught:
        read_accounts(file_of(tmp_path, content))
    assert where in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadProviders, match=r"nothing\.toml"):
        read_accounts(tmp_path / "nothing.toml")
    with pytest.raises(BadProviders, match=r"providers\.toml"):
        read_accounts(file_of(tmp_path, b"[acme]\nbase_url = '\xff'"))


@pytest.mark.parametrize(
    ("account", "where"),
    [
        ("priced_by = 'nobody'", "a.priced_by: no provider 'nobody'; there are: a"),
        ("models.m.fallbacks = ['b/m']", "a.models.m.fallbacks: no provider for 'b/m'"),
    ],
)
def test_a_provider_that_another_needs_must_be_there(
    tmp_path: Path, account: str, where: str
) -> None:
    accounts = read_accounts(file_of(tmp_path, f"[a]\nbase_url = 'http://a'\n{account}"))
    with pytest.raises(BadProviders, match=where):
        ConfiguredProviders(accounts)


# What catalogs add.


def test_a_list_is_used_where_the_configuration_says_nothing(
    from_file: ConfiguredProviders,
) -> None:
    known = from_file.facts("acme/large/1")
    assert from_file.facts("router/x").price is None
    models = [
        listed("large/1", "9", context_tokens=1, max_output_tokens=1, parameters=("x",)),
        listed("small", "7", context_tokens=5, max_output_tokens=3),
    ]
    from_file.learn(catalog("acme", *models))
    from_file.learn(catalog("router", listed("x", "2")))
    assert from_file.facts("acme/large/1") == known
    price = ModelPrice("acme-abc", Decimal(7), Decimal(7))
    assert from_file.facts("acme/small") == ModelFacts(8192, 3, price)
    assert from_file.facts("router/x").price == ModelPrice("router-abc", Decimal(2), Decimal(2))
    from_file.learn(catalog("router"))
    assert from_file.facts("router/x").price is None


def test_a_list_may_have_all_prices(from_file: ConfiguredProviders) -> None:
    names = ("input", "output", "cached_input", "request")
    prices = {name: Decimal(price) for price, name in enumerate(names)}
    from_file.learn(catalog("router", ListedModel("x", prices=prices)))
    assert from_file.facts("router/x").price == ModelPrice("router-abc", *map(Decimal, range(4)))


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("acme/small", "acme-inc/small"),
        ("acme/small-4-5", "acme-inc/small-4.5"),
        ("acme/small-4-5-20260101", "acme-inc/small-4.5"),
        ("acme/small-4-5-latest", "acme-inc/small-4.5"),
    ],
)
def test_a_model_is_priced_where_another_lists_it(
    from_file: ConfiguredProviders, asked: str, name: str
) -> None:
    assert from_file.facts(asked).price is None
    from_file.learn(catalog("router", listed(name, "3", max_output_tokens=9, parameters=("x",))))
    found = from_file.facts(asked)
    assert found.price == ModelPrice("router-abc", Decimal(3), Decimal(3))
    assert found.max_output_tokens == 9
    assert found.not_settable == ()  # what another does not pass on may be settable here


def test_two_models_of_one_loose_name_price_nothing(from_file: ConfiguredProviders) -> None:
    models = listed("acme-inc/a-1.5", "3"), listed("acme-inc/a-1-5-20260101", "4")
    from_file.learn(catalog("router", *models))
    assert from_file.facts("acme/a-1-5").price is None
    assert from_file.facts("acme/a-1.5").price is not None


def test_a_model_may_name_its_place_in_the_list(tmp_path: Path) -> None:
    content = FILE.replace("max_output_tokens", "priced_as = 'x/y'\nmax_output_tokens")
    content = "\n".join(line for line in content.splitlines() if "_usd" not in line)
    providers = ConfiguredProviders(read_accounts(file_of(tmp_path, content)))
    providers.learn(catalog("router", listed("x/y", "5"), listed("acme-inc/large/1", "6")))
    assert providers.facts("acme/large/1").price == ModelPrice("router-abc", Decimal(5), Decimal(5))


@pytest.mark.parametrize(
    ("parameters", "not_settable"),
    [
        ((), ()),
        (("temperature", "seed", "structured_outputs"), ()),
        (("temperature", "response_format"), ("seed",)),
        (("max_tokens",), ("seed", "temperature", "response_schema")),
    ],
)
def test_a_list_tells_which_parameters_are_dropped(
    from_file: ConfiguredProviders, parameters: tuple[str, ...], not_settable: tuple[str, ...]
) -> None:
    from_file.learn(catalog("router", listed("x", parameters=parameters)))
    assert from_file.facts("router/x").not_settable == not_settable


def test_lanes_cannot_be_made_by_asking(from_file: ConfiguredProviders) -> None:
    from_file.learn(catalog("router", listed("x")))
    assert from_file.lane("acme/large/1") == "acme/large/1"
    assert from_file.lane("router/x") == "router/x"
    lanes = {
        from_file.lane(f"{name}/{n}") for n in range(99) for name in ("acme", "router", str(n))
    }
    assert lanes == {"acme/*", "router/*", "unknown/*"}
    assert {from_file.lane(lane) for lane in lanes} == lanes


def test_facts_of_names_that_nobody_knows_are_not_kept_forever(
    from_file: ConfiguredProviders,
) -> None:
    for number in range(25_000):
        from_file.facts(f"acme/{number}")
    assert len(from_file._facts) <= 10_000


def test_what_is_known_is_found_fast(from_file: ConfiguredProviders) -> None:
    from_file.learn(catalog("router", *(listed(f"m{n}", "1") for n in range(500))))
    started = time.thread_time()  # what others do meanwhile does not count
    for _ in range(10_000):
        from_file.facts("router/m7")
        from_file.lane("router/m7")
        from_file.limits("router/m7")
    assert time.thread_time() - started < 1


def test_lists_are_read_that_can_be_and_are_of_use(
    from_file: ConfiguredProviders, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert from_file.listing() == []
    monkeypatch.setenv("ACME_API_KEY", "sk-1")
    assert from_file.listing() == ["acme", "router"]
    monkeypatch.delenv("ACME_API_KEY")
    monkeypatch.setenv("ROUTER_API_KEY", "sk-1")
    assert from_file.listing() == ["router"]


def test_a_list_that_is_not_public_needs_its_key() -> None:
    accounts = {
        "open": Account(NOWHERE, priced_by="router"),
        "quiet": Account(NOWHERE, catalog=False),
        "router": Account(NOWHERE, "ROUTER_API_KEY"),
        "simulator": Account(NOWHERE, simulated=True),
    }
    assert ConfiguredProviders(accounts).listing() == ["open", "simulator"]


def test_without_keys_nothing_is_read_from_the_built_in_providers() -> None:
    assert ConfiguredProviders(read_accounts(BUILT_IN)).listing() == []
