"""What the mention-analyzer can be told."""

from __future__ import annotations

from pydantic import Field
from runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment of the mention-analyzer."""

    postgres_dsn: str = Field(
        repr=False, description="its own database, e.g. postgresql://host/mentions"
    )
