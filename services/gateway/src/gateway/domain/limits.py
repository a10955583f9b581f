"""How many requests, completions and streams are allowed to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.domain.access import Allowance, Tier


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """So many requests in so many seconds, counted per caller under the policy's name.

    A ``strict`` one is counted by each process for itself while the shared counter is away; the
    others let requests pass then.
    """

    name: str
    requests: int
    seconds: int = 60
    strict: bool = False


TIERS: Mapping[Tier, Allowance] = {
    Tier.FREE: Allowance(60, 500, 2),
    Tier.PRO: Allowance(600, 30_000, 10),
    Tier.ENTERPRISE: Allowance(6000, 200_000, 50),
}


@dataclass(frozen=True, slots=True)
class Demo:
    """What is there for callers without a key.

    ``tenant_id`` is whose finished runs are shown; None: nothing is. ``models`` are those that a
    visitor's run may ask, for ``budget_usd`` each. ``requests`` are per address, ``runs`` are of
    all visitors together.
    """

    tenant_id: str | None = None
    models: tuple[str, ...] = ()
    budget_usd: Decimal = Decimal("0.05")
    requests: RatePolicy = RatePolicy("demo", 10, strict=True)
    runs: RatePolicy = RatePolicy("demo-runs", 200, 86_400, strict=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of the gateway.

    ``address`` is over all requests of an address, ``anonymous`` over those without a valid key.
    """

    tiers: Mapping[Tier, Allowance] = field(default_factory=lambda: TIERS)
    address: RatePolicy = RatePolicy("address", 12_000)
    anonymous: RatePolicy = RatePolicy("anonymous", 300, strict=True)
    demo: Demo = field(default_factory=Demo)

    def policy(self, tier: Tier) -> RatePolicy:
        """What a key of the tier may ask."""
        return RatePolicy(tier.value, self.tiers[tier].requests_per_minute)
