"""Settings that cannot work are named at the start."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from bus.local import LocalLog
from gateway.app import build
from gateway.settings import Settings
from runtime.settings import BadSettings, load


@pytest.mark.asyncio
async def test_a_redis_that_cannot_be_is_named(dsn: str, tmp_path: Path) -> None:
    log = await LocalLog.open(tmp_path / "log.sqlite")
    settings = Settings(postgres_dsn=dsn, redis_url="redis://host:no-port/0")
    try:
        with pytest.raises(BadSettings, match="LIMELIGHT_REDIS_URL"):
            await build(settings, log)
    finally:
        await log.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("LIMELIGHT_POSTGRES_DSN", "postgresql://host/gateway")
    monkeypatch.setenv("LIMELIGHT_REDIS_URL", "redis://cache:6379/0")
    monkeypatch.delenv("LIMELIGHT_PORT", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_URL", "cache:6379"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("MAX_BODY_BYTES", "1 MB"),
        ("FREE_PER_MINUTE", "60/minute"),
        ("PRO_COMPLETIONS", "0"),
        ("ENTERPRISE_STREAMS", "many"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "https://app.example.com/page"),
        ("DEMO_MODELS", "sim-large"),
        ("DEMO_BUDGET_USD", "-1"),
        ("USAGE_DAYS", "0"),
        ("IDEMPOTENCY_DAYS", "a week"),
    ],
)
def test_a_bad_setting_is_named(environment: pytest.MonkeyPatch, variable: str, value: str) -> None:
    load(Settings)
    environment.setenv(f"LIMELIGHT_{variable}", value)
    with pytest.raises(BadSettings, match=rf"LIMELIGHT_{variable}\b"):
        load(Settings)


def test_lists_are_written_with_commas(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LIMELIGHT_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1,fd00::/8")
    environment.setenv("LIMELIGHT_CORS_ORIGINS", "https://a.example.com,http://localhost:5173")
    environment.setenv("LIMELIGHT_DEMO_MODELS", "")
    settings = load(Settings)
    assert isinstance(settings, Settings)
    networks = ("10.0.0.0/8", "192.0.2.1/32", "fd00::/8")
    assert settings.trusted_proxies == tuple(ip_network(network) for network in networks)
    assert settings.cors_origins == ("https://a.example.com", "http://localhost:5173")
    assert settings.demo_models == ()


def test_any_origin_may_be_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LIMELIGHT_CORS_ORIGINS", "*")
    settings = load(Settings)
    assert isinstance(settings, Settings)
    assert settings.cors_origins == ("*",)


def test_values_can_be_given_in_code(environment: pytest.MonkeyPatch) -> None:
    settings = load(Settings, demo_models=("simulator/a", "simulator/b"))
    assert isinstance(settings, Settings)
    assert settings.demo_models == ("simulator/a", "simulator/b")
