"""Who may do what: roles of users, scopes and tiers of keys. Pure rules."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from gateway.domain.errors import Forbidden, InvalidKey


class Scope(StrEnum):
    """What a key may do. No scope includes another."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    OPERATOR = "operator"


class Role(StrEnum):
    """What a user is in a tenant."""

    OWNER = "owner"
    ANALYST = "analyst"
    VIEWER = "viewer"


class Tier(StrEnum):
    """What a tenant pays for, the lowest first."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"

    @property
    def height(self) -> int:
        """0 for the lowest."""
        return list(Tier).index(self)


TENANT_SCOPES = frozenset({Scope.READ, Scope.WRITE, Scope.ADMIN})
"""All that can be given inside a tenant. Only the bootstrap key makes tenants."""

_SCOPES_OF_ROLE = {
    Role.OWNER: TENANT_SCOPES,
    Role.ANALYST: frozenset({Scope.READ, Scope.WRITE}),
    Role.VIEWER: frozenset({Scope.READ}),
}
S = TypeVar("S", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What keys of a tier may use. ``streams`` are open at the same time, per key."""

    requests_per_minute: int
    run_completions: int
    streams: int


def role_scopes(role: Role | None) -> frozenset[Scope]:
    """All that a key of a user of this role may do; None: a key of no user, bound by no role."""
    return frozenset(Scope) if role is None else _SCOPES_OF_ROLE[role]


def effective_scopes(stored: Collection[Scope], role: Role | None) -> frozenset[Scope]:
    """What a key may do now: its user's role may be lower than when the key was made."""
    return frozenset(stored) & role_scopes(role)


def lower_tier(one: Tier, other: Tier) -> Tier:
    """The lower of two tiers: a key is never worth more than its tenant."""
    return min(one, other, key=lambda tier: tier.height)


def granted_scopes(
    asked: Collection[Scope] | None, maker: Collection[Scope], role: Role | None
) -> frozenset[Scope]:
    """The scopes of a new key: those asked for, or all that its maker and its user's role share.

    Raises:
        Forbidden: a scope was asked for that the maker or the role has not, or that of operators.
    """
    allowed = frozenset(maker) & role_scopes(role) & TENANT_SCOPES
    if asked is None:
        return allowed
    beyond = frozenset(asked) - allowed
    if beyond:
        whom = "its maker has" if role is None else f"its maker has and a user of role {role} may"
        raise Forbidden(
            f"the scope {spelled(beyond)} is not to be given",
            f"a key has no more scopes than {whom}: here {spelled(allowed) or 'none'}",
        )
    return frozenset(asked)


def granted_tier(asked: Tier | None, maker: Tier) -> Tier:
    """The tier of a new key, by default its maker's.

    Raises:
        Forbidden: it is above the maker's.
    """
    tier = maker if asked is None else asked
    if tier.height > maker.height:
        raise Forbidden(
            f"the tier {tier} is above that of the key that asks, {maker}",
            f"ask for {maker} or lower, or use a key of tier {tier}",
        )
    return tier


def granted_expiry(
    asked: datetime | None, maker: datetime | None, now: datetime
) -> datetime | None:
    """When a new key ends, by default with its maker: a key cannot live on in another.

    Raises:
        InvalidKey: it is in the past.
        Forbidden: it is later than its maker's.
    """
    if asked is None:
        return maker
    if asked <= now:
        raise InvalidKey(f"{asked.isoformat()} is past", "give a time to come, or none")
    if maker is not None and asked > maker:
        raise Forbidden(
            f"the key that asks expires earlier, at {maker.isoformat()}",
            "ask for no later time, or use a key that lives longer",
        )
    return asked


def folded_email(email: str) -> str:
    """An e-mail address as it is compared: width and case do not tell users apart."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email.strip()).casefold())


def spelled(values: Collection[S]) -> str:
    """Scopes or tiers in the order of their declaration, as a sentence has them."""
    return ", ".join(value for value in _order(values) if value in values)


def _order(values: Collection[S]) -> list[S]:
    return [] if not values else list(type(next(iter(values))))
