"""What the graph-loader can be told."""

from __future__ import annotations

from pydantic import Field, FilePath, SecretStr, model_validator
from runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment of the graph-loader."""

    graph_url: str = Field(
        default="neo4j://127.0.0.1:7687",
        repr=False,
        description="neo4j://host:port (or bolt:, with +s for TLS), or postgresql://host/database",
    )
    graph_user: str = Field(default="neo4j", description="user of Neo4j")
    graph_password: SecretStr | None = Field(
        default=None, description="its password; none: no authentication"
    )
    graph_ca_file: FilePath | None = Field(
        default=None, description="PEM file of the CA of Neo4j; without, the system's CAs"
    )
    graph_database: str | None = Field(default=None, description="a database of Neo4j's; its own")
    refresh_per_second: float = Field(
        default=100.0,
        gt=0,
        le=10_000,
        description="users computed again each second because others changed",
    )

    @model_validator(mode="after")
    def _trusts_somebody(self) -> Settings:
        if self.graph_ca_file is not None and "+s://" not in self.graph_url:
            raise ValueError("LIMELIGHT_GRAPH_CA_FILE is for neo4j+s:// in LIMELIGHT_GRAPH_URL")
        return self
