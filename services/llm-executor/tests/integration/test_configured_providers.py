"""Providers from files and keys from the environment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from bus.local import LocalLog
from llm_executor.adapters.providers import (
    BUILT_IN,
    Account,
    BadProviders,
    ConfiguredProviders,
    read_accounts,
)
from llm_executor.app import build
from llm_executor.domain.errors import CallFailed
from llm_executor.settings import Settings
from runtime.settings import BadSettings

pytestmark = pytest.mark.asyncio
ACCOUNTS = {
    "keyed": Account("http://127.0.0.1:9/v1", "ACME_API_KEY"),
    "open": Account("http://127.0.0.1:9/v1"),
    "simulator": Account("http://127.0.0.1:9/v1", simulated=True),
}


@pytest_asyncio.fixture
async def providers() -> AsyncIterator[ConfiguredProviders]:
    made = ConfiguredProviders(ACCOUNTS)
    yield made
    await made.close()


def file_of(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "providers.toml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("value", [None, ""])
async def test_a_missing_key_is_named_by_its_variable(
    providers: ConfiguredProviders, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("ACME_API_KEY", value)
    with pytest.raises(CallFailed, match="set the environment variable ACME_API_KEY") as caught:
        providers.named("keyed")
    assert (caught.value.kind, caught.value.retryable) == ("auth", False)


async def test_a_key_that_came_later_is_used(
    providers: ConfiguredProviders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    with pytest.raises(CallFailed):
        providers.named("keyed")
    monkeypatch.setenv("ACME_API_KEY", "sk-later")
    assert providers.named("keyed") is providers.named("keyed")


async def test_an_unknown_provider_lists_the_known_ones(providers: ConfiguredProviders) -> None:
    with pytest.raises(CallFailed, match="there are: keyed, open, simulator") as caught:
        providers.named("acme")
    assert (caught.value.kind, caught.value.retryable) == ("unknown-provider", False)


async def test_a_provider_may_need_no_key_and_may_be_simulated(
    providers: ConfiguredProviders,
) -> None:
    assert not providers.named("open").simulated
    assert providers.named("simulator").simulated


async def test_the_built_in_providers_are_read() -> None:
    accounts = read_accounts(BUILT_IN)
    assert accounts.keys() == {"openai", "google", "openrouter", "groq", "ollama"}
    assert accounts["openai"] == Account("https://api.openai.com/v1", "OPENAI_API_KEY")
    assert accounts["ollama"].api_key_env is None
    assert not any(account.simulated for account in accounts.values())


@pytest.mark.parametrize(
    "content",
    [
        b"[acme",
        b"acme = 1",
        b"[acme]\nurl = 'http://127.0.0.1'",
        b"[acme]\nbase_url = 'http://127.0.0.1'\napi_key = 'sk-1'",
        b"[acme]\nbase_url = '\xff'",
    ],
)
async def test_a_bad_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = file_of(tmp_path, content)
    with pytest.raises(BadProviders, match="base_url and api_key_env") as caught:
        read_accounts(path)
    assert str(path) in str(caught.value)


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadProviders, match=r"nothing\.toml"):
        read_accounts(tmp_path / "nothing.toml")


async def test_a_bad_file_is_named_by_its_variable_at_the_start(tmp_path: Path, dsn: str) -> None:
    path = file_of(tmp_path, b"[acme")
    log = await LocalLog.open(tmp_path / "log.sqlite")
    try:
        with pytest.raises(BadSettings, match="LIMELIGHT_PROVIDERS_FILE"):
            await build(Settings(postgres_dsn=dsn, providers_file=path), log)
    finally:
        await log.close()
