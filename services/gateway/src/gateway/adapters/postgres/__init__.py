"""The gateway's ports on PostgreSQL, one module per port."""

from __future__ import annotations

from gateway.adapters.postgres.brands import PostgresBrandRepository
from gateway.adapters.postgres.campaigns import PostgresCampaignRepository
from gateway.adapters.postgres.keys import PostgresKeyRepository
from gateway.adapters.postgres.pruning import PostgresPruning
from gateway.adapters.postgres.reading import PostgresRunReader
from gateway.adapters.postgres.rejections import PostgresRejectionStore
from gateway.adapters.postgres.runs import PostgresRunRepository
from gateway.adapters.postgres.usage import PostgresUsageStore
from gateway.adapters.postgres.users import PostgresUserRepository

__all__ = [
    "PostgresBrandRepository",
    "PostgresCampaignRepository",
    "PostgresKeyRepository",
    "PostgresPruning",
    "PostgresRejectionStore",
    "PostgresRunReader",
    "PostgresRunRepository",
    "PostgresUsageStore",
    "PostgresUserRepository",
]
