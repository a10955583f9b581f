"""The whole service on a log and a Redis: started, stopped, failing, and with its store lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bus import failpoint
from bus.errors import Unavailable
from bus.host import Service
from bus.lag import lag
from bus.local import LocalLog
from bus.provision import specs
from bus.record import OutRecord
from contracts.envelope import from_headers
from contracts.events.marketing import RecommendationChanged
from contracts.examples import examples
from contracts.topics import RECOMMENDATION_CHANGED
from devkit.conformance.polling import read_all, send
from devkit.embedded import EmbeddedRedis
from devkit.tenants import announce
from recommender import app, rebuilding
from recommender.app import NAME, SERVICE, build
from recommender.domain.models import Engagement, Kind
from recommender.domain.ports import ON_ITS_WAY, SWEEP, Settled, UserKey
from recommender.domain.rules import digest, rank
from recommender.recommending import ListEnd, NewList
from recommender.settings import Settings
from runtime import crash
from runtime.clock import SystemClock
from runtime.deadline import Deadline
from services.recommender.tests.kits import Kit, affinity, campaign, engagement, until

pytestmark = pytest.mark.asyncio
_BEHIND = datetime.now(UTC) - datetime(2026, 11, 5, 12, tzinfo=UTC)


class DayOfTheExamples(SystemClock):
    """Runs as time does, on a day on which the campaigns of the golden examples do too."""

    def now(self) -> datetime:
        return super().now() - _BEHIND


@pytest.fixture(autouse=True)
def day_of_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SystemClock", DayOfTheExamples)


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    opened = await LocalLog.open(tmp_path / "log")
    await opened.create_topics(specs())
    yield opened
    await opened.close()


@asynccontextmanager
async def running(log: LocalLog, url: str) -> AsyncIterator[Service]:
    service = await build(Settings(redis_url=url), log)
    await service.start()
    try:
        yield service
    finally:
        await service.stop(Deadline(5))


async def tell(log: LocalLog) -> None:
    """Write all golden examples of the service's topics."""
    every = [one for topic in SERVICE.subscriptions for one in examples(topic.name)]
    await announce(log, *{from_headers(one.headers).tenant_id for one in every})
    await send(log, [OutRecord(one.topic, one.key, one.value, one.headers) for one in every])


async def lists(log: LocalLog) -> dict[bytes, RecommendationChanged]:
    """What a reader keeps: of each key the highest version."""
    found: dict[bytes, RecommendationChanged] = {}
    for record in await read_all(log, RECOMMENDATION_CHANGED.name):
        event, key = RecommendationChanged.model_validate_json(record.value or b""), record.key
        assert key is not None
        if key not in found or event.version > found[key].version:
            found[key] = event
    return found


async def settled(log: LocalLog) -> None:
    """Everything that was told has been taken in."""

    async def done() -> bool:
        return not any([await lag(log, topic.name, NAME) for topic in SERVICE.subscriptions])

    await until(done, "the service has read all topics")


async def has_a_list(log: LocalLog, key: bytes) -> None:
    """Also when the campaigns came after the user: the sweep makes that one."""

    async def made() -> bool:
        found = await lists(log)
        return key in found and bool(found[key].items)

    await until(made, f"{key.decode()} has a list")


ADA = b"tenant-kaffeehaus/u-ada"


async def test_what_is_told_is_recommended(
    on_redis: Kit, redis_server: EmbeddedRedis, log: LocalLog
) -> None:
    async with running(log, redis_server.url) as service:
        await tell(log)
        await settled(log)
        assert all([await check() for check in service.checks.values()])
        await has_a_list(log, ADA)
    found = await lists(log)
    assert [item.campaign_id for item in found[ADA].items] == ["espresso-week"]
    assert found[b"tenant-kaffeehaus/u-cleo"].forgotten


async def test_a_lost_store_is_filled_again(
    on_redis: Kit, redis_server: EmbeddedRedis, log: LocalLog
) -> None:
    async with running(log, redis_server.url):
        await tell(log)
        await settled(log)
    before = await lists(log)
    known = await _stored(on_redis)
    assert on_redis.redis is not None
    await on_redis.redis.call("FLUSHALL")
    async with running(log, redis_server.url):
        await settled(log)
        assert await _stored(on_redis) == known
    after = await lists(log)
    assert after.keys() == before.keys()
    assert all(after[key].version > one.version for key, one in before.items())


async def _stored(kit: Kit) -> object:
    """Campaigns and people without what moves with time."""
    tenants = ("tenant-kaffeehaus", "tenant-bluebird")
    users: list[UserKey] = [(one, user) for one in tenants for user in ("u-ada", "u-ben", "u-cleo")]
    people = {user: one.person for user, one in (await kit.people.read(users)).items()}
    catalogs = await kit.another().offers.catalogs(tenants)
    return people, {tenant: dict(one.campaigns) for tenant, one in catalogs.items()}


@pytest.mark.usefixtures("on_redis")
@pytest.mark.parametrize("point", ["consumer-before-publish", "consumer-after-publish"])
async def test_what_dies_around_publishing_publishes_after_all(
    redis_server: EmbeddedRedis, log: LocalLog, point: str
) -> None:
    died: list[str] = []

    def die_once(passed: str) -> None:
        if passed == point and not died:
            died.append(passed)
            raise asyncio.CancelledError

    async def has_died() -> bool:
        return bool(died)

    failpoint.install(die_once)
    try:
        await tell(log)
        service = await build(Settings(redis_url=redis_server.url), log)
        await service.start()
        await until(has_died, "the point was passed")
        await service.stop(Deadline(5))
    finally:
        failpoint.install(None)
    async with running(log, redis_server.url):
        await settled(log)
        await has_a_list(log, ADA)
    found = await lists(log)
    assert [item.campaign_id for item in found[ADA].items] == ["espresso-week"]
    assert found[b"tenant-kaffeehaus/u-cleo"].forgotten
    assert found.keys() >= {b"tenant-kaffeehaus/u-ben", b"tenant-bluebird/u-ada"}


USERS: list[UserKey] = [("t-1", name) for name in ("ada", "ben", "cleo")]
CAMPAIGNS = tuple("abcdef")
Published = NewList | ListEnd


class Replicas:
    """Two processes and a sweep at once, and what they publish: last of each user, and highest."""

    def __init__(self, kit: Kit, seed: int) -> None:
        self.kits = [kit, kit.another(), kit.another()]
        self.rng = random.Random(seed)
        self.kept: dict[UserKey, Published] = {}
        self.last: dict[UserKey, Published] = {}
        self.number = 0

    async def publish(self, fresh: Sequence[Published]) -> None:
        """The log is slow now and then: what was made first may come out last."""
        await asyncio.sleep(self.rng.choice([0, 0, 0.005, 0.02]))
        for new in fresh:
            self.last[new.user] = new
            if new.user not in self.kept or new.version >= self.kept[new.user].version:
                self.kept[new.user] = new

    async def happen(self, *, campaigns: bool = True) -> None:
        """Something happens to somebody, in one of the processes, which may die of it."""
        kit, user = self.rng.choice(self.kits[:2]), self.rng.choice(USERS)
        await asyncio.sleep(self.rng.choice([0, 0.002, 0.005, 0.01]))
        self.number += 1
        kit.clock.advance(0.000_01)
        number, now = self.number, kit.clock.now()
        what = self.rng.random()
        if campaigns and what < 0.2:
            changed = campaign(self.rng.choice(CAMPAIGNS), title=f"c-{number}", at=now)
            await kit.offers.take_campaigns([("t-1", changed)])
        elif what < 0.3:
            await self._handle(kit, lambda: self._forget(kit, user, now))
        else:
            taken = self._taken(kit, user, number)
            await self._handle(kit, lambda: self._rank(kit, taken, {user: f"c-{number}"}))

    async def _handle(self, kit: Kit, made: Callable[[], Awaitable[Sequence[Published]]]) -> None:
        """What is made is published, and once more if the process dies before it knows."""
        fresh = await made()
        await self.publish(fresh)
        if self.rng.random() < 0.2:
            await asyncio.sleep(0)
            fresh = await made()
            await self.publish(fresh)
        await kit.people.published({new.user: new.version for new in fresh})

    async def _forget(self, kit: Kit, user: UserKey, at: datetime) -> Sequence[Published]:
        versions = await kit.people.forget({user: at})
        return [ListEnd(user, versions[user], at)]

    async def _rank(
        self, kit: Kit, taken: Callable[[], Awaitable[Any]], causes: dict[UserKey, str]
    ) -> Sequence[Published]:
        known = await taken()
        await asyncio.sleep(0)
        return await kit.recommender.rank(known, causes)

    def _taken(self, kit: Kit, user: UserKey, number: int) -> Callable[[], Awaitable[Any]]:
        now = kit.clock.now()
        if self.rng.random() < 0.5:
            near = affinity(*self.rng.sample(CAMPAIGNS, 3), version=number, heard_at=now)
            return lambda: kit.people.take_affinities({user: near})
        kind, key = self.rng.choice([Kind.CONVERSION, Kind.CLICK]), self.rng.choice(CAMPAIGNS)
        told: Engagement = engagement(kind, key, user[1], at=now)
        return lambda: kit.people.take_engagements([("t-1", told)])

    async def sweep(self) -> None:
        """A turn of the third process."""
        kit = self.kits[2]
        await kit.agenda.walk("t-1", 9)
        due = [("t-1", one) for one in (await kit.agenda.due({"t-1": 9}))["t-1"].users]
        known = await kit.people.read(due)
        unknown = [user for user in due if user not in known]
        ends = await kit.recommender.ends(unknown)
        await self.publish(ends)
        await kit.people.published({end.user: end.version for end in ends})
        await kit.people.drop(dict.fromkeys(unknown, 0) | {end.user: end.owed for end in ends})
        fresh = await kit.recommender.rank(known, dict.fromkeys(known, SWEEP), held=True)
        await self.publish(fresh)
        await kit.people.settle(
            {new.user: Settled(new.version, new.revision, new.ranking.due_at) for new in fresh}
        )


@pytest.mark.parametrize("seed", range(6))
async def test_of_lists_made_at_once_the_last_is_made_from_everything(
    on_redis: Kit, seed: int
) -> None:
    replicas = Replicas(on_redis, seed)
    for number in range(15):
        # At last no campaign changes: the sweep that follows would cover what went wrong before.
        happen = partial(replicas.happen, campaigns=number < 10)
        turns: list[Callable[[], Any]] = [happen] * 8 + [replicas.sweep]
        replicas.rng.shuffle(turns)
        await asyncio.gather(*(turn() for turn in turns))
        on_redis.clock.advance(0.001)
    for _ in range(3):
        await replicas.sweep()
        on_redis.clock.advance(ON_ITS_WAY.total_seconds())
    catalog = (await on_redis.offers.catalogs(["t-1"]))["t-1"]
    known = await on_redis.people.read(USERS)
    for user, last in replicas.last.items():
        assert last.version == replicas.kept[user].version
        if user not in known:
            assert isinstance(last, ListEnd)
            continue
        wanted = rank(known[user].person, catalog, on_redis.clock.now(), on_redis.policy)
        assert isinstance(last, NewList)
        assert digest(last.ranking) == digest(wanted)
    assert replicas.last.keys() == set(USERS)
    assert (await on_redis.agenda.due({"t-1": 9}))["t-1"].users == ()


async def test_redis_is_needed_to_start(log: LocalLog) -> None:
    service = await build(Settings(redis_url="unix:///nowhere/redis.sock"), log)
    with pytest.raises(Unavailable, match="redis"):
        await service.start()


async def test_a_service_whose_store_is_lost_ends(
    on_redis: Kit, redis_server: EmbeddedRedis, log: LocalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "WATCH_SECONDS", 0.01)
    died: list[str] = []

    async def has_died() -> bool:
        return bool(died)

    with crash.listening(died.append):
        async with running(log, redis_server.url):
            assert on_redis.redis is not None
            await on_redis.redis.call("FLUSHALL")
            await until(has_died, "the service ends")
    assert died == ["recommender loss watch"]
