"""Base of every service's settings: the environment, prefixed ``LIMELIGHT_``."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What every service can be told. Secrets are ``SecretStr`` in subclasses, never plain."""

    model_config = SettingsConfigDict(env_prefix="LIMELIGHT_", extra="ignore", frozen=True)

    log_url: str = Field(
        default="kafka://127.0.0.1:9092",
        description="the event log: kafka://host:port[,host:port] or local:PATH",
    )
    ops_host: str = Field(default="0.0.0.0", description="address of the ops port")  # noqa: S104
    ops_port: int = Field(
        default=9090, ge=0, le=65535, description="port of /livez, /readyz, /metrics; 0 picks"
    )
    shutdown_seconds: float = Field(default=25.0, description="time to drain on SIGTERM")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: str = Field(default="json", description="json, or console for people")
    otlp_endpoint: str | None = Field(
        default=None, description="OTLP/HTTP collector for traces, e.g. http://127.0.0.1:4318"
    )


class BadSettings(SystemExit):
    """Settings that cannot work; says which variable and why, and ends the process with 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def load(settings: type[ServiceSettings], **values: Any) -> ServiceSettings:
    """Read settings from the environment; ``values`` win over it.

    Raises:
        BadSettings: a variable is missing or wrong, each named as the environment spells it.
    """
    try:
        return settings(**values)
    except ValidationError as error:
        lines = [
            f"  LIMELIGHT_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}"
            for item in error.errors()
        ]
        raise BadSettings("settings are not usable:\n" + "\n".join(lines)) from None
