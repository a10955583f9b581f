"""The gateway with a Redis and a log, and what is told of users and campaigns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from bus.provision import specs
from bus.publishing import Publisher, PublishingApply
from contracts.events.base import Event
from contracts.events.marketing import (
    CampaignChanged,
    PopularCampaignsChanged,
    RecommendationChanged,
    RecommendedCampaign,
    UserForgotten,
)
from contracts.topics import Topic
from devkit.embedded import EmbeddedRedis
from devkit.fake_log import FakeLog
from gateway.adapters.memory import ProcessLiveText
from gateway.adapters.recommendations import RedisRecommendations
from gateway.adapters.searches import RedisSearchAnswers
from gateway.api import Ports
from gateway.domain.marketing import microseconds
from gateway.listening import Listeners
from redis.asyncio import Redis
from runtime.clock import SystemClock
from runtime.deadline import Deadline
from services.gateway.tests.calling_api import Api, ports_of
from services.gateway.tests.feeding import delivered, record_of
from services.gateway.tests.kits import Kit

E = TypeVar("E", bound=Event)
NDJSON = {"Content-Type": "application/x-ndjson"}
AS_OF = datetime(2026, 11, 4, 10, tzinfo=UTC)


@dataclass
class Replica:
    """One process of the gateway, as far as marketing goes, and a tenant that calls it."""

    api: Api
    kit: Kit
    ports: Ports
    log: FakeLog
    lists: RedisRecommendations
    searches: RedisSearchAnswers
    publisher: Publisher
    raw: Redis

    @property
    def listeners(self) -> Listeners:
        return Listeners(self.kit.campaigns, self.lists, self.searches, ProcessLiveText())

    @property
    def apply(self) -> PublishingApply:
        """The handlers as the consumers of the log call them."""
        reactions = [one for lane in self.listeners.lanes() for one in lane.reactions]
        return PublishingApply("gateway", reactions, self.publisher, SystemClock())

    async def tell(self, *events: Event, tenant_id: str | None = None, source: str = "x") -> None:
        """All of these in one batch, each a new record."""
        tenant = tenant_id or self.api.tenant_id
        await self.apply([delivered(record_of(tenant, each, source=source)) for each in events])

    async def complete(self) -> None:
        """Say that the read model is complete."""
        lease = await self.lists.begin()
        assert lease is not None
        assert await self.lists.finish(lease)

    async def shown(self, user_id: str, api: Api | None = None, **params: Any) -> dict[str, Any]:
        """What a user is shown."""
        path = f"/v1/recommendations/{user_id}"
        response = await (api or self.api).call("GET", path, params=params)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        assert response.headers["limelight-source"] == body["source"]
        return body


@asynccontextmanager
async def replica(
    kit: Kit, redis: EmbeddedRedis, log: FakeLog | None = None, **changes: Any
) -> AsyncIterator[Replica]:
    """A process over a Redis and a log that others may share."""
    if log is None:
        log = FakeLog()
        await log.create_topics(specs())
    publisher = Publisher("gateway", log, SystemClock())
    await publisher.start()
    lists, searches = RedisRecommendations(redis.url), RedisSearchAnswers(redis.url)
    own: dict[str, Any] = {
        "recommendations": lists,
        "searches": searches,
        "publish": publisher.send,
    }
    ports = replace(ports_of(kit), **own | changes)
    api = await Api.over(kit, ports)
    raw: Redis = Redis.from_url(redis.url)
    yield Replica(api, kit, ports, log, lists, searches, publisher, raw)
    await api.http.aclose()
    await publisher.stop(Deadline(1))
    for each in (lists, searches):
        await each.close()
    await raw.aclose()


def recommended(campaign_id: str, **changes: Any) -> RecommendedCampaign:
    """One campaign of a list."""
    given: dict[str, Any] = {"title": f"About {campaign_id}", "score": 0.5, "source": "personal"}
    return RecommendedCampaign(campaign_id=campaign_id, **given | changes)


def own_list(user_id: str, version: int, *campaigns: str, **changes: Any) -> RecommendationChanged:
    """What a user should see next."""
    given: dict[str, Any] = {
        "items": tuple(recommended(campaign) for campaign in campaigns),
        "source": "personal",
        "ranker_version": "test-1",
        "as_of": AS_OF,
    }
    return RecommendationChanged(user_id=user_id, version=version, **given | changes)


def forgotten_list(user_id: str, version: int) -> RecommendationChanged:
    """That there is no list of a user any more."""
    return own_list(user_id, version, forgotten=True)


def popular_list(version: int, *campaigns: str, **changes: Any) -> PopularCampaignsChanged:
    """What those should see of whom nothing is known."""
    items = tuple(recommended(campaign, source="popular") for campaign in campaigns)
    given: dict[str, Any] = {"items": items, "ranker_version": "test-1", "as_of": AS_OF}
    return PopularCampaignsChanged(list_id="popular", version=version, **given | changes)


def a_campaign(campaign_id: str, at: datetime = AS_OF, **changes: Any) -> CampaignChanged:
    """A campaign as somebody outside has changed it."""
    given: dict[str, Any] = {"title": f"About {campaign_id}", "changed_at": at}
    return CampaignChanged(campaign_id=campaign_id, **given | changes)


def forgotten(user_id: str, at: datetime) -> UserForgotten:
    """That a user is to be forgotten."""
    return UserForgotten(user_id=user_id, forgotten_at=at)


def version_at(at: datetime) -> int:
    """The version of a list that is made then."""
    return microseconds(at)


def ids(shown: dict[str, Any]) -> list[str]:
    """The campaigns of a list, in order."""
    return [item["campaign_id"] for item in shown["items"]]


async def owed(api: Api, topic: Topic[E]) -> list[E]:
    """The events of a topic that the tenant's commands owe the log, in order."""
    rows = await api.kit.owed(api.tenant_id)
    return [topic.event.model_validate_json(row.payload) for row in rows if row.topic == topic.name]
