"""What the embedding service can be told."""

from __future__ import annotations

from pydantic import Field, FilePath, SecretStr, model_validator
from runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment of the embedding service."""

    postgres_dsn: str | None = Field(
        default=None,
        repr=False,
        description="its own database with pgvector, postgresql://host/embedding",
    )
    mongo_url: SecretStr | None = Field(
        default=None, description="keeps the lake there instead, mongodb://host"
    )
    milvus_uri: str | None = Field(
        default=None,
        description="keeps the vectors there instead, http://host:19530, or a file of Milvus Lite",
    )
    milvus_token: SecretStr = Field(default=SecretStr(""), description="user:password of Milvus")
    milvus_ca_file: FilePath | None = Field(
        default=None, description="PEM file of the CA of Milvus, for https://; or the system's CAs"
    )
    model_threads: int = Field(default=1, ge=1, le=64, description="threads for one batch of texts")
    half_life_days: float = Field(
        default=30.0, gt=0, le=36_500, description="what was said so long ago counts half"
    )
    neighbours: int = Field(
        default=50, ge=1, le=200, description="users that are told to be near to one"
    )
    audience_per_second: float = Field(
        default=50, gt=0, description="users who are told of a new campaign in each second"
    )

    @model_validator(mode="after")
    def _has_stores(self) -> Settings:
        if self.postgres_dsn is None and (self.mongo_url is None or self.milvus_uri is None):
            raise ValueError("set LIMELIGHT_POSTGRES_DSN, or both _MONGO_URL and _MILVUS_URI")
        if self.milvus_ca_file is not None and not (self.milvus_uri or "").startswith("https://"):
            raise ValueError("LIMELIGHT_MILVUS_CA_FILE is for https:// in LIMELIGHT_MILVUS_URI")
        return self
