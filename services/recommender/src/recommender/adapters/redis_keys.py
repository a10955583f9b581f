"""Names of keys. All of a tenant's carry its name as hash tag, so that a cluster has them together.

Scripts touch several keys of one tenant at once. The two keys over all tenants are touched alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

AGENDA = "recommender:agenda"
"""Tenants by the time at which something of theirs is due."""
LAYOUT = "recommender:layout"
"""The version of this layout; missing in a store that is new or was lost."""


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """The keys of one tenant."""

    base: str

    def user(self, user_id: str) -> str:
        """Hash: revision, affinity, and what was recommended last."""
        return f"{self.base}user:{user_id}"

    def facts(self, user_id: str) -> str:
        """Hash: what the user did, by kind and campaign."""
        return f"{self.base}facts:{user_id}"

    def ids(self, user_id: str) -> str:
        """Sorted set: ids of the user's engagements by when they were taken in."""
        return f"{self.base}ids:{user_id}"

    def gone(self, user_id: str) -> str:
        """Hash: when a user was forgotten, under a name that does not tell who."""
        digest = hashlib.sha256(f"{self.base}\0{user_id}".encode()).hexdigest()
        return f"{self.base}gone:{digest}"

    @property
    def due(self) -> str:
        """Sorted set: every user by when their list has to be made again."""
        return f"{self.base}due"

    @property
    def chores(self) -> str:
        """Sorted set: ``popular`` and ``walk`` by when they are due."""
        return f"{self.base}chores"

    @property
    def campaigns(self) -> str:
        """Hash: the latest state of each campaign."""
        return f"{self.base}campaigns"

    @property
    def vectors(self) -> str:
        """Hash: the latest vector of each campaign."""
        return f"{self.base}vectors"

    @property
    def revisions(self) -> str:
        """Sorted set: campaigns by the revision of their last change."""
        return f"{self.base}revisions"

    @property
    def popular(self) -> str:
        """Hash: the popular list's revision, mark, version, digest, and the standings."""
        return f"{self.base}popular"

    @property
    def changed(self) -> str:
        """Set: fingerprints of changed campaigns that the next walk looks for."""
        return f"{self.base}changed"

    @property
    def walk(self) -> str:
        """Hash: the walk that is under way."""
        return f"{self.base}walk"

    def tallies(self, half_life_seconds: int) -> str:
        """Hash: decayed sums by campaign. Those of another half-life are others."""
        return f"{self.base}tallies:{half_life_seconds}"


@lru_cache(maxsize=4096)
def keys_of(tenant_id: str) -> TenantKeys:
    """The keys of a tenant. Its name is quoted, so that it ends where it seems to end."""
    return TenantKeys(f"recommender:{{{quote(tenant_id, safe='')}}}:")
