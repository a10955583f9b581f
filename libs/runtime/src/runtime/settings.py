"""Base of every service's settings: the environment, prefixed ``LIMELIGHT_``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.logging import Level, Style

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
TLS_SCHEME = "kafka+ssl"
_TLS_FIELDS = ("log_ca_file", "log_cert_file", "log_key_file")
_SASL_FIELDS = ("log_sasl_mechanism", "log_username", "log_password")


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class ServiceSettings(BaseSettings):
    """What every service can be told. Secrets are ``SecretStr`` in subclasses, never plain."""

    model_config = SettingsConfigDict(
        env_prefix="LIMELIGHT_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    log_url: str = Field(
        default="kafka://127.0.0.1:9092",
        description="the event log: kafka://host:port[,host:port], kafka+ssl://... for TLS, or"
        " local:PATH",
    )
    log_ca_file: FilePath | None = Field(
        default=None, description="PEM file of the CA of the brokers; without, the system's CAs"
    )
    log_cert_file: FilePath | None = Field(
        default=None, description="PEM file of a client certificate, where the brokers want one"
    )
    log_key_file: FilePath | None = Field(default=None, description="PEM file of its private key")
    log_sasl_mechanism: Mechanism | None = Field(
        default=None, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, for the two below"
    )
    log_username: str | None = Field(default=None, description="user of Kafka")
    log_password: SecretStr | None = Field(default=None, description="that user's password")
    instance: str = Field(
        default="",
        pattern="^[A-Za-z0-9._-]{0,200}$",
        description="name of this process in its consumer groups, if it has the same one after a"
        " restart (a pod of a StatefulSet): its partitions then wait for it, and no others move",
    )
    instance_seconds: float = Field(
        default=45.0, ge=6, le=1800, description="how long they wait before others get them"
    )
    ops_host: str = Field(default="0.0.0.0", description="address of the ops port")  # noqa: S104
    ops_port: int = Field(
        default=9090,
        ge=0,
        le=65535,
        description="port of /livez, /readyz, /servez, /metrics; 0 picks",
    )
    dead_letter_ratio: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="a consumer halts when more of its last 200 records were rejected; 1: never",
    )
    shutdown_seconds: float = Field(default=25.0, description="time to drain on SIGTERM")
    log_level: Annotated[Level, BeforeValidator(_upper)] = Field(
        default="INFO", description="DEBUG, INFO, WARNING, ERROR or CRITICAL"
    )
    log_format: Annotated[Style, BeforeValidator(_lower)] = Field(
        default="json", description="json, or console for people"
    )
    otlp_endpoint: str | None = Field(
        default=None, description="OTLP/HTTP collector for traces, e.g. http://127.0.0.1:4318"
    )

    @model_validator(mode="after")
    def _opens_the_log(self) -> Self:
        faults = [*_log_faults(self)]
        if faults:
            raise ValueError("; ".join(faults))
        return self


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
            f"  {variable('_'.join(map(str, item['loc'])))}: {item['msg']}"
            if item["loc"]
            else f"  {item['msg'].removeprefix('Value error, ')}"  # is about several of them
            for item in error.errors()
        ]
        raise BadSettings("settings are not usable:\n" + "\n".join(lines)) from None


def variable(field: str) -> str:
    """How the environment spells a field of settings."""
    return f"LIMELIGHT_{field.upper()}"


def _log_faults(settings: ServiceSettings) -> Iterator[str]:
    """What of the log's settings is half set, each with the variable to set."""
    scheme = settings.log_url.partition(":")[0]
    if "@" in settings.log_url and scheme.startswith("kafka"):
        yield "LIMELIGHT_LOG_URL names hosts only: use LIMELIGHT_LOG_USERNAME and _PASSWORD"
    tls, sasl = _given(settings, _TLS_FIELDS), _given(settings, _SASL_FIELDS)
    if tls and scheme != TLS_SCHEME:
        yield f"{tls[0]} is for TLS: LIMELIGHT_LOG_URL has to begin with {TLS_SCHEME}://"
    if (settings.log_cert_file is None) != (settings.log_key_file is None):
        yield "set both of LIMELIGHT_LOG_CERT_FILE and LIMELIGHT_LOG_KEY_FILE, or neither"
    missing = [variable(field) for field in _SASL_FIELDS if variable(field) not in sasl]
    if sasl and missing:
        yield f"{sasl[0]} is set, so set {' and '.join(missing)} too"
    if sasl and not scheme.startswith("kafka"):
        yield f"{sasl[0]} is for Kafka, LIMELIGHT_LOG_URL names another log"


def _given(settings: ServiceSettings, fields: tuple[str, ...]) -> list[str]:
    return [variable(field) for field in fields if getattr(settings, field) is not None]
