"""What keys have used: the sums are those of the requests that were made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from bus.errors import Unavailable
from gateway.adapters.postgres import PostgresPruning
from gateway.domain.access import Role
from gateway.domain.usage import Request, Tally, UsageBy, UsageLedger, UsageQuery, UsageSlot
from gateway.metering import UsageFlusher
from runtime.deadline import Deadline
from services.gateway.tests.accounts import NOBODY, Holder, holder, holder_of_role
from services.gateway.tests.calling_api import Api, ports_of, problem
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
KEYS, USAGE = "/v1/keys", "/v1/usage"
DAY = datetime(2026, 3, 5, tzinfo=UTC)


@pytest.fixture
def ledger() -> UsageLedger:
    return UsageLedger()


@pytest_asyncio.fixture
async def api(kit: Kit, ledger: UsageLedger) -> AsyncIterator[Api]:
    made = await Api.over(kit, replace(ports_of(kit), ledger=ledger))
    yield made
    await made.http.aclose()


@pytest.fixture
def flusher(kit: Kit, ledger: UsageLedger) -> UsageFlusher:
    return UsageFlusher(ledger, kit.usage, seconds=3600)


async def read(who: Holder, **params: str) -> dict[str, Any]:
    response = await who.call("GET", USAGE, params=params)
    assert response.status_code == 200, response.text
    return dict(response.json())


def counted(view: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(item["method"], item["route"]): item["requests"] for item in view["items"]}


async def test_usage_is_the_requests_that_were_made(api: Api, flusher: UsageFlusher) -> None:
    one, other = await holder(api), await holder(api)
    created = await one.call("POST", KEYS, json={"name": "x" * 50})
    for _ in range(3):
        assert (await one.call("GET", f"{KEYS}/{other.key.key_id}")).status_code == 200
    assert (await one.call("GET", f"{KEYS}/{NOBODY}")).status_code == 404
    assert (await one.call("POST", KEYS, json={})).status_code == 422
    listed = await other.call("GET", KEYS)
    assert (await api.http.get(KEYS)).status_code == 401  # nobody's
    assert (await one.call("GET", "/nothing")).status_code == 404  # no route asked who it is
    await flusher.flush()

    usage = await read(one, by="endpoint", key_id=str(one.key.key_id))
    assert counted(usage) == {("POST", KEYS): 2, ("GET", f"{KEYS}/{{key_id}}"): 4}
    posts = next(item for item in usage["items"] if item["method"] == "POST")
    assert (posts["refused"], posts["errors"]) == (1, 0)
    assert posts["request_bytes"] == len(created.request.content) + len(b"{}")
    assert posts["response_bytes"] > int(created.headers["content-length"])
    assert 0 < posts["longest_seconds"] <= posts["seconds"]
    assert usage["total"]["requests"] == 6
    assert usage["total"]["refused"] == 2

    everything = await read(one, by="endpoint")
    assert counted(everything)[("GET", KEYS)] == 1
    gets = next(item for item in everything["items"] if item["route"] == KEYS)
    assert gets["response_bytes"] == int(listed.headers["content-length"]) < len(listed.content)


async def test_sums_do_not_depend_on_when_they_are_stored(
    api: Api,
    kit: Kit,
    flusher: UsageFlusher,
    ledger: UsageLedger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    monkeypatch.setattr(ledger, "_now", lambda: hour)  # the second one stores the same hour
    who = await holder(api)
    for turn in range(6):
        await asyncio.gather(*(who.call("GET", KEYS) for _ in range(turn)))
        await flusher.flush()
        await flusher.flush()
    second = UsageFlusher(ledger, kit.usage)  # another process with the same hour
    await who.call("GET", KEYS)
    await second.flush()
    usage = await read(who, by="endpoint", key_id=str(who.key.key_id))
    # the second one stores the ledger's totals as its own: 15 of the first, 16 of the second
    assert counted(usage)[("GET", KEYS)] == 15 + 16


@pytest.mark.parametrize("arrives", [True, False])
async def test_what_could_not_be_stored_is_stored_later(
    api: Api, kit: Kit, ledger: UsageLedger, arrives: bool
) -> None:
    class Down:
        async def put(self, instance: UUID, rows: Sequence[tuple[UsageSlot, Tally]]) -> None:
            if arrives:  # and its answer is lost
                await kit.usage.put(instance, rows)
            raise Unavailable("down")

        async def read(self, query: UsageQuery) -> list[Any]:
            raise Unavailable("down")

    who = await holder(api)
    flusher = UsageFlusher(ledger, Down(), seconds=3600)
    for _ in range(3):
        await who.call("GET", KEYS)
        with pytest.raises(Unavailable):
            await flusher.flush()
    flusher._store = kit.usage
    await flusher.flush()
    usage = await read(who, by="endpoint", key_id=str(who.key.key_id))
    assert counted(usage)[("GET", KEYS)] == 3


async def test_the_rest_is_stored_at_the_stop(api: Api, flusher: UsageFlusher) -> None:
    who = await holder(api)
    await flusher.start()
    await who.call("GET", KEYS)
    await flusher.stop(Deadline(30))
    usage = await read(who, by="endpoint", key_id=str(who.key.key_id))
    assert counted(usage) == {("GET", KEYS): 1}


async def test_usage_is_stored_while_it_runs(api: Api, kit: Kit, ledger: UsageLedger) -> None:
    flusher = UsageFlusher(ledger, kit.usage, seconds=0.05)
    who = await holder(api)
    await who.call("GET", KEYS)
    await flusher.start()
    async with asyncio.timeout(60):
        while not (await read(who, by="endpoint"))["items"]:
            pass
    await flusher.stop(Deadline(30))


async def test_a_key_tells_when_it_was_used_last(api: Api, flusher: UsageFlusher) -> None:
    who, unused = await holder(api), await holder(api)
    before = datetime.now(UTC)
    await who.call("GET", KEYS)
    after = datetime.now(UTC)
    await flusher.flush()
    shown = {key["key_id"]: key["last_used_at"] for key in (await who.call("GET", KEYS)).json()}
    assert before <= datetime.fromisoformat(shown[str(who.key.key_id)]) <= after
    assert shown[str(unused.key.key_id)] is None


async def test_a_defect_counts_as_an_error(kit: Kit, ledger: UsageLedger) -> None:
    ports = replace(ports_of(kit), ledger=ledger, users=None)  # type: ignore[arg-type]
    api = await Api.over(kit, ports)
    who = await holder(api)
    assert (await who.call("GET", "/v1/users")).status_code == 500
    await UsageFlusher(ledger, kit.usage).flush()
    total = (await read(who))["total"]
    assert (total["requests"], total["errors"]) == (1, 1)
    await api.http.aclose()


async def test_who_is_no_admin_sees_the_own_key(api: Api, flusher: UsageFlusher) -> None:
    analyst, admin = await holder_of_role(api, Role.ANALYST), await holder(api)
    for who in (analyst, admin, admin):
        await who.call("GET", KEYS)
    await flusher.flush()
    mine = await read(analyst)
    assert (mine["key_id"], mine["total"]["requests"]) == (str(analyst.key.key_id), 1)
    assert (await read(analyst, key_id=str(analyst.key.key_id)))["total"]["requests"] == 1
    response = await analyst.call("GET", USAGE, params={"key_id": str(admin.key.key_id)})
    assert "admin" in problem(response, 403, "forbidden")["title"]
    whole = await read(admin)
    assert (whole["key_id"], whole["total"]["requests"]) == (None, 3)


async def test_another_tenants_usage_is_not_there(api: Api, flusher: UsageFlusher) -> None:
    admin, foreign = await holder(api), await holder(await api.another_tenant())
    await foreign.call("GET", KEYS)
    await flusher.flush()
    for key_id in (foreign.key.key_id, NOBODY):
        response = await admin.call("GET", USAGE, params={"key_id": str(key_id)})
        problem(response, 404, "not-found")
    assert (await read(admin))["total"]["requests"] == 0


def slot(who: Holder, hour: datetime, status: int = 200, route: str = "/a") -> UsageSlot:
    return UsageSlot(who.key.key_id, "GET", route, status, hour)


def tally(requests: int) -> Tally:
    made = Tally()
    for n in range(requests):
        made.add(Request("GET", "/a", 200, 0.1 * (n + 1), 10, 100), DAY)
    return made


async def test_usage_is_grouped_by_day_hour_and_endpoint(api: Api, kit: Kit) -> None:
    who = await holder(api)
    rows = [
        (slot(who, DAY), tally(1)),
        (slot(who, DAY, 404), tally(2)),
        (slot(who, DAY, 503, "/b"), tally(4)),
        (slot(who, DAY + timedelta(hours=23)), tally(8)),
        (slot(who, DAY + timedelta(hours=24)), tally(16)),
    ]
    await kit.usage.put(uuid4(), rows)
    span = {"from": DAY.isoformat(), "to": (DAY + timedelta(days=2)).isoformat()}
    days = await read(who, **span)
    assert [(item["starts_at"], item["requests"]) for item in days["items"]] == [
        ("2026-03-05T00:00:00Z", 15),
        ("2026-03-06T00:00:00Z", 16),
    ]
    first = days["items"][0]
    assert (first["refused"], first["errors"]) == (2, 4)
    assert (first["request_bytes"], first["response_bytes"]) == (150, 1500)
    assert first["longest_seconds"] == pytest.approx(0.8)
    assert first["seconds"] == pytest.approx(0.1 * (1 + 3 + 10 + 36))
    assert (first["method"], first["route"]) == (None, None)
    hours = await read(who, **span, by="hour")
    assert [item["requests"] for item in hours["items"]] == [7, 8, 16]
    endpoints = await read(who, **span, by="endpoint")
    assert [(item["route"], item["requests"]) for item in endpoints["items"]] == [
        ("/a", 27),
        ("/b", 4),
    ]
    for view in (days, hours, endpoints):
        assert view["total"]["requests"] == 31
        assert (view["from"], view["to"]) == ("2026-03-05T00:00:00Z", "2026-03-07T00:00:00Z")


async def test_an_hour_belongs_to_the_span_it_begins_in(api: Api, kit: Kit) -> None:
    who = await holder(api)
    hours = [DAY + timedelta(hours=n) for n in range(4)]
    await kit.usage.put(uuid4(), [(slot(who, hour), tally(1)) for hour in hours])
    span = {"from": hours[1].isoformat(), "to": hours[3].isoformat()}
    usage = await read(who, **span, by="hour")
    assert [item["starts_at"][11:13] for item in usage["items"]] == ["01", "02"]


@pytest.mark.parametrize(
    "params",
    [{"from": "yesterday"}, {"from": "2026-01-01T00:00:00"}, {"by": "week"}, {"key_id": "mine"}],
)
async def test_a_malformed_query_is_refused(api: Api, params: dict[str, str]) -> None:
    response = await api.call("GET", USAGE, params=params)
    problem(response, 422, "invalid-request")


async def test_old_usage_is_pruned(api: Api, kit: Kit) -> None:
    who = await holder(api)
    await kit.usage.put(uuid4(), [(slot(who, DAY + timedelta(hours=n)), tally(1)) for n in (0, 1)])
    gone = await PostgresPruning(kit.pool).usage(DAY + timedelta(hours=1))
    assert gone >= 1
    query = UsageQuery(api.tenant_id, None, DAY, DAY + timedelta(days=1), UsageBy.HOUR)
    assert [row.starts_at for row in await kit.usage.read(query)] == [DAY + timedelta(hours=1)]


async def test_old_answers_to_idempotent_requests_are_pruned(api: Api, kit: Kit) -> None:
    for days in (8, 6):
        await kit.pool.execute(
            "INSERT INTO idempotent_requests (tenant_id, key, request_hash, status, body, "
            "created_at) VALUES ($1, $2, '', 200, '', now() - $3 * interval '1 day')",
            api.tenant_id,
            str(days),
            days,
        )
    await PostgresPruning(kit.pool).idempotent_requests(datetime.now(UTC) - timedelta(days=7))
    rows = await kit.pool.fetch(
        "SELECT key FROM idempotent_requests WHERE tenant_id = $1", api.tenant_id
    )
    assert [row["key"] for row in rows] == ["6"]


async def test_pruning_takes_more_than_a_slice(api: Api, kit: Kit) -> None:
    await kit.pool.execute(
        "INSERT INTO idempotent_requests (tenant_id, key, request_hash, status, body, created_at) "
        "SELECT $1, n::text, '', 200, '', '2020-01-01' FROM generate_series(1, 12000) AS n",
        api.tenant_id,
    )
    pruning = PostgresPruning(kit.pool)
    assert await pruning.idempotent_requests(datetime(2021, 1, 1, tzinfo=UTC)) == 12_000


async def test_two_processes_note_the_same_keys_at_once(api: Api, kit: Kit) -> None:
    holders = [await holder(api) for _ in range(20)]
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [(slot(who, now), tally(1)) for who in holders]
    for _ in range(5):
        await asyncio.gather(
            kit.usage.put(uuid4(), rows), kit.usage.put(uuid4(), list(reversed(rows)))
        )
    assert (await read(holders[0]))["total"]["requests"] == 200
