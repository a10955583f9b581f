"""What the gateway can be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode
from runtime.settings import ServiceSettings

Network = IPv4Network | IPv6Network
T = TypeVar("T")


def _listed(parse: Callable[[str], T]) -> BeforeValidator:
    """Values between commas, each read by ``parse``, which raises ValueError."""

    def read(given: str | Iterable[Any]) -> tuple[T, ...]:
        parts = given.split(",") if isinstance(given, str) else map(str, given)
        return tuple(parse(part.strip()) for part in parts if part.strip())

    return BeforeValidator(read)


def _origin(text: str) -> str:
    parts = urlsplit(text)
    bare = f"{parts.scheme}://{parts.netloc}"
    if text != "*" and (parts.scheme not in {"http", "https"} or not parts.netloc or bare != text):
        raise ValueError(f"{text!r} is no origin like https://app.example.com")
    return text


def _model(text: str) -> str:
    if "/" not in text:
        raise ValueError(f"{text!r} is no provider/model")
    return text


class Settings(ServiceSettings):
    """Environment of the gateway."""

    postgres_dsn: str = Field(
        repr=False, description="its own database, e.g. postgresql://host/gateway"
    )
    redis_url: str = Field(
        repr=False,
        pattern="^(rediss?|unix)://",
        description="redis://host:port/0, rediss:// for TLS, or unix:///path",
    )
    host: str = Field(default="0.0.0.0", description="address of the public port")  # noqa: S104
    port: int = Field(
        default=8080, ge=0, le=65535, description="the public port; 0 picks a free one"
    )
    max_body_bytes: int = Field(default=1_048_576, description="larger requests get 413")
    max_run_completions: int = Field(
        default=30_000, description="larger runs get 422, whatever the tier"
    )
    max_import_bytes: int = Field(
        default=33_554_432, ge=1, description="larger imports, and lines of facts, get 413"
    )
    free_per_minute: int = Field(default=60, ge=1, description="requests of a free key")
    free_completions: int = Field(
        default=500, ge=1, description="completions of a run of a free key"
    )
    free_streams: int = Field(default=2, ge=1, description="open streams of a free key")
    pro_per_minute: int = Field(default=600, ge=1, description="requests of a pro key")
    pro_completions: int = Field(
        default=30_000, ge=1, description="completions of a run of a pro key"
    )
    pro_streams: int = Field(default=10, ge=1, description="open streams of a pro key")
    enterprise_per_minute: int = Field(
        default=6000, ge=1, description="requests of an enterprise key"
    )
    enterprise_completions: int = Field(
        default=200_000, ge=1, description="completions of its runs"
    )
    enterprise_streams: int = Field(default=50, ge=1, description="open streams of such a key")
    address_per_minute: int = Field(
        default=12_000, ge=1, description="requests of an IP address, all keys"
    )
    anonymous_per_minute: int = Field(
        default=300, ge=1, description="requests of an IP address without a valid key"
    )
    demo_per_minute: int = Field(
        default=10, ge=1, description="requests of an IP address to /demo/*"
    )
    demo_runs_per_day: int = Field(default=200, ge=1, description="runs of all visitors of /demo/*")
    demo_tenant: str | None = Field(
        default=None, description="whose finished runs anyone may see at /demo/*; none: nobody's"
    )
    demo_models: Annotated[tuple[str, ...], NoDecode, _listed(_model)] = Field(
        default=(), description="what runs of /demo/* may ask, e.g. simulator/sim-large"
    )
    demo_budget_usd: Decimal = Field(
        default=Decimal("0.05"), ge=0, description="what a run of /demo/* may cost"
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, _listed(ip_network)] = Field(
        default=(),
        description="10.0.0.0/8,...: networks whose X-Forwarded-For and -Proto are believed",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, _listed(_origin)] = Field(
        default=(), description="web pages that may call, e.g. https://app.example.com, or *"
    )
    key_cache_seconds: float = Field(
        default=3.0, ge=0, le=60, description="how long a key is not looked up again; 0: always"
    )
    usage_days: int = Field(default=90, ge=1, description="how long usage is kept")
    idempotency_days: int = Field(
        default=7, ge=1, description="how long an Idempotency-Key is remembered"
    )
    bootstrap_key: SecretStr | None = Field(
        default=None,
        description="an API key of tenant 'demo' with all scopes, made at the start; it alone has"
        " operator and makes tenants",
    )
