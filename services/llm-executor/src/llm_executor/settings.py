"""What the llm-executor can be told."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment of the llm-executor. Provider keys stay in the variables the file names."""

    postgres_dsn: str = Field(
        repr=False, description="its own database, e.g. postgresql://host/completions"
    )
    providers_file: Path | None = Field(
        default=None, description="TOML of providers, beside or in place of the built-in ones"
    )
    simulator_url: str | None = Field(
        default=None, description="base URL of a provider simulator, offered as simulator/..."
    )
    max_in_flight: int = Field(default=512, ge=1, description="calls at once in this process")
    limits_share: float = Field(
        default=1.0, gt=0, le=1, description="of the configured limits, where processes share them"
    )
    attempts: int = Field(default=5, ge=1, description="calls to one model per completion")
    call_seconds: float = Field(default=120.0, gt=0, description="time for one call")
    lease_seconds: float = Field(default=15.0, gt=0, description="claims end this long after death")
    sole_instance: bool = Field(
        default=False, description="true if no other llm-executor uses the database"
    )
