"""Settings that cannot work are named at the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from bus.local import LocalLog
from gateway.app import build
from gateway.settings import Settings
from runtime.settings import BadSettings, load


@pytest.mark.asyncio
async def test_a_bad_rate_limit_is_named(dsn: str, tmp_path: Path) -> None:
    log = await LocalLog.open(tmp_path / "log.sqlite")
    settings = Settings(postgres_dsn=dsn, redis_url="unix:///nowhere", rate_limit="many")
    try:
        with pytest.raises(BadSettings, match="LIMELIGHT_RATE_LIMIT"):
            await build(settings, log)
    finally:
        await log.close()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("REDIS_URL", "cache:6379"), ("PORT", "65536"), ("PORT", "-1"), ("MAX_BODY_BYTES", "1 MB")],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv("LIMELIGHT_POSTGRES_DSN", "postgresql://host/gateway")
    monkeypatch.setenv("LIMELIGHT_REDIS_URL", "redis://cache:6379/0")
    monkeypatch.delenv("LIMELIGHT_PORT", raising=False)
    load(Settings)
    monkeypatch.setenv(f"LIMELIGHT_{variable}", value)
    with pytest.raises(BadSettings, match=f"LIMELIGHT_{variable}"):
        load(Settings)
