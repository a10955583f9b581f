"""Logs as JSON without secrets, and settings whose errors name the variable."""

from __future__ import annotations

import contextlib
import io
import json
import logging as standard
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from pydantic import Field, SecretStr
from runtime import logging
from runtime.settings import BadSettings, ServiceSettings, load


class Lines:
    """What was logged since the last look, parsed."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.configure("INFO")

    def configure(self, level: str) -> None:
        # Taken away first: configuring closes every handler that is there, pytest's too.
        standard.getLogger().handlers.clear()
        with contextlib.redirect_stderr(self._stream):
            logging.configure("gateway", level)

    def read(self) -> list[dict[str, Any]]:
        text = self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    def only(self) -> dict[str, Any]:
        (line,) = self.read()
        return line


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    root = standard.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    structlog.reset_defaults()
    yield Lines()
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def test_a_line_is_json_with_service_time_and_level(lines: Lines) -> None:
    logging.logger("bus.relay").warning("relay waits", seconds=3)
    line = lines.only()
    assert (line["event"], line["seconds"], line["level"]) == ("relay waits", 3, "warning")
    assert (line["service"], line["logger"]) == ("gateway", "bus.relay")
    assert line["timestamp"].endswith("Z")


def test_a_line_of_a_library_looks_the_same(lines: Lines) -> None:
    standard.getLogger("somelib").warning("lost %s", "a connection")
    line = lines.only()
    assert (line["event"], line["service"]) == ("lost a connection", "gateway")


def test_the_level_is_obeyed(lines: Lines) -> None:
    lines.configure("ERROR")
    logging.logger("x").info("not shown")
    logging.logger("x").error("shown")
    assert [line["event"] for line in lines.read()] == ["shown"]


@pytest.mark.parametrize("level", ["error", "Error"])
def test_a_level_may_be_written_in_any_case(lines: Lines, level: str) -> None:
    lines.configure(level)
    logging.logger("x").warning("not shown")
    logging.logger("x").error("shown")
    assert [line["event"] for line in lines.read()] == ["shown"]


@pytest.mark.parametrize(
    ("level", "style", "said"),
    [("loud", "json", "LIMELIGHT_LOG_LEVEL: 'LOUD'"), ("INFO", "xml", "LIMELIGHT_LOG_FORMAT")],
)
def test_what_is_no_level_or_format_is_named(level: str, style: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        logging.configure("gateway", level, style)


def test_a_line_carries_the_trace_it_belongs_to(lines: Lines) -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("request") as span:
        logging.logger("x").warning("inside")
    logging.logger("x").warning("outside")
    inside, outside = lines.read()
    assert inside["trace_id"] == format(span.get_span_context().trace_id, "032x")
    assert "trace_id" not in outside


SECRETS = [
    "sk-proj-abcdefgh12345678",
    "lk_abcdefgh12345678",
    "Bearer abcdefgh12345678",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_value_that_looks_like_a_secret_is_masked(lines: Lines, secret: str) -> None:
    logging.logger("x").warning(f"sent {secret} there", header=f"({secret})")
    standard.getLogger("somelib").warning("sent %s", secret)
    shown = json.dumps(lines.read())
    assert "abcdefgh12345678" not in shown
    assert shown.count("***") == 3


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://limelight:hunter2@db/gateway",
        "redis://:hunter2@cache:6379/0",
        "kafka://user:hunter2@broker:9092",
    ],
)
def test_a_password_in_a_url_is_masked(lines: Lines, url: str) -> None:
    logging.logger("x").warning("cannot reach it", url=url)
    line = lines.only()
    assert "hunter2" not in json.dumps(line)
    assert line["url"].partition("***")[2].startswith(("db", "cache", "broker"))


@pytest.mark.parametrize(
    "name", ["api_key", "apikey", "OPENAI_API_KEY", "password", "Authorization", "client_secret"]
)
def test_a_field_that_is_named_like_a_secret_is_masked(lines: Lines, name: str) -> None:
    logging.logger("x").warning("settings", **{name: "hunter2"})
    assert lines.only()[name] == "***"


@pytest.mark.parametrize("name", ["key", "tokens", "token_count", "topic"])
def test_a_field_that_only_sounds_like_it_is_shown(lines: Lines, name: str) -> None:
    logging.logger("x").warning("settings", **{name: "shown"})
    assert lines.only()[name] == "shown"


def test_a_secret_in_a_traceback_is_masked(lines: Lines) -> None:
    try:
        int("key sk-proj-abcdefgh12345678")
    except ValueError:
        logging.logger("x").exception("failed")
    line = lines.only()
    assert "ValueError" in line["exception"]
    assert "abcdefgh12345678" not in json.dumps(line)


class Settings(ServiceSettings):
    postgres_dsn: str
    attempts: int = Field(default=5, ge=1)
    bootstrap_key: SecretStr | None = None


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without any setting of ours."""
    for name in ("POSTGRES_DSN", "ATTEMPTS", "LOG_URL", "OPS_PORT", "BOOTSTRAP_KEY"):
        monkeypatch.delenv(f"LIMELIGHT_{name}", raising=False)
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LIMELIGHT_POSTGRES_DSN", "postgresql://host/db")
    environment.setenv("LIMELIGHT_ATTEMPTS", "7")
    settings = load(Settings)
    assert isinstance(settings, Settings)
    assert (settings.postgres_dsn, settings.attempts) == ("postgresql://host/db", 7)
    assert settings.ops_port == 9090


def test_given_values_win_over_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LIMELIGHT_ATTEMPTS", "7")
    settings = load(Settings, postgres_dsn="postgresql://host/db", attempts=2)
    assert isinstance(settings, Settings)
    assert settings.attempts == 2


def test_every_bad_setting_is_named_by_its_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LIMELIGHT_ATTEMPTS", "0")
    environment.setenv("LIMELIGHT_OPS_PORT", "ninety")
    with pytest.raises(BadSettings) as caught:
        load(Settings)
    for name in ("LIMELIGHT_POSTGRES_DSN", "LIMELIGHT_ATTEMPTS", "LIMELIGHT_OPS_PORT"):
        assert f"{name}: " in caught.value.message


@pytest.mark.parametrize(
    ("level", "style"), [("debug", "Console"), ("Warning", "JSON"), ("CRITICAL", "console")]
)
def test_level_and_format_may_be_written_in_any_case(
    environment: pytest.MonkeyPatch, level: str, style: str
) -> None:
    environment.setenv("LIMELIGHT_LOG_LEVEL", level)
    environment.setenv("LIMELIGHT_LOG_FORMAT", style)
    settings = load(ServiceSettings)
    assert (settings.log_level, settings.log_format) == (level.upper(), style.lower())


@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml")])
def test_another_level_or_format_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(f"LIMELIGHT_{name}", value)
    with pytest.raises(BadSettings, match=f"LIMELIGHT_{name}: Input should be "):
        load(ServiceSettings)


def test_every_level_and_format_can_be_configured() -> None:
    assert get_args(logging.Level) == ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    assert get_args(logging.Style) == ("json", "console")


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_is_a_port(environment: pytest.MonkeyPatch, port: str) -> None:
    environment.setenv("LIMELIGHT_POSTGRES_DSN", "postgresql://host/db")
    environment.setenv("LIMELIGHT_OPS_PORT", port)
    with pytest.raises(BadSettings, match="LIMELIGHT_OPS_PORT"):
        load(Settings)


def test_a_bad_secret_is_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LIMELIGHT_BOOTSTRAP_KEY", "lk_hunter2")
    with pytest.raises(BadSettings) as caught:
        load(Settings)
    assert "hunter2" not in caught.value.message
    settings = load(Settings, postgres_dsn="postgresql://host/db")
    assert "hunter2" not in repr(settings)
