"""What the gateway can be told."""

from __future__ import annotations

from pydantic import Field, SecretStr
from runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment of the gateway."""

    postgres_dsn: str = Field(description="its own database, e.g. postgresql://host/gateway")
    redis_url: str = Field(
        pattern="^(rediss?|unix)://", description="redis://host:port/0 or unix:///path; rate limits"
    )
    host: str = Field(default="0.0.0.0", description="address of the public port")  # noqa: S104
    port: int = Field(
        default=8080, ge=0, le=65535, description="the public port; 0 picks a free one"
    )
    max_body_bytes: int = Field(default=1_048_576, description="larger requests get 413")
    max_run_completions: int = Field(default=30_000, description="larger runs get 422")
    rate_limit: str = Field(default="600/minute", description="requests per API key")
    bootstrap_key: SecretStr | None = Field(
        default=None, description="an API key of tenant 'demo' that is made at the start"
    )
