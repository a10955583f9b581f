"""Everything the API works through, and how a route gets at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from bus.store import TransactionalStore
from fastapi import Depends, Request

from gateway.commands.searches import Publish
from gateway.domain.addresses import Network
from gateway.domain.limits import Limits
from gateway.domain.ports import (
    BrandRepository,
    CampaignRepository,
    KeyRepository,
    LiveText,
    RateLimiter,
    RecommendationReader,
    RejectionStore,
    RunReader,
    RunRepository,
    SearchAnswers,
    StreamSlots,
    UsageStore,
    UserRepository,
)
from gateway.domain.usage import UsageLedger


@dataclass(frozen=True)
class Ports:
    """Everything the API works through."""

    store: TransactionalStore[Any]
    bind: Callable[[Any], RunRepository]
    runs: RunReader
    brands: BrandRepository
    live: LiveText
    keys: KeyRepository
    users: UserRepository
    usage: UsageStore
    rejections: RejectionStore
    limiter: RateLimiter
    streams: StreamSlots
    campaigns: CampaignRepository
    recommendations: RecommendationReader
    searches: SearchAnswers
    publish: Publish
    max_run_completions: int
    max_body_bytes: int
    max_import_bytes: int = 33_554_432
    limits: Limits = field(default_factory=Limits)
    ledger: UsageLedger = field(default_factory=UsageLedger)
    trusted_proxies: Sequence[Network] = ()
    cors_origins: Sequence[str] = ()


async def _ports(request: Request) -> Ports:
    # Async although it awaits nothing: of others the framework makes a trip to a thread.
    ports: Ports = request.app.state.ports
    return ports


PortsOf = Annotated[Ports, Depends(_ports)]
