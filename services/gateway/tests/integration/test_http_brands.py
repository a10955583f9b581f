"""Brands over HTTP: one of each name, whatever its case and width, and what runs make of them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from contracts.topics import VISIBILITY_RUN_STARTED
from gateway.domain.models import Brand
from services.gateway.tests.calling_api import RUNS, Api, problem
from services.gateway.tests.feeding import Feed, asked, failed, owed
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio
SOME_ID = "0199c2f1-0000-7e5f-8a74-4b30af9d8d01"  # the same for every worker
BRANDS = "/v1/brands"
FULL: dict[str, Any] = {
    "name": "Roam Research",
    "aliases": ["Roam"],
    "domains": ["roamresearch.com"],
    "exclude": ["Roam Mobility"],
    "own": True,
    "case": "exact",
}


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def put(api: Api, **body: Any) -> dict[str, Any]:
    response = await api.call("PUT", BRANDS, json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def names(api: Api) -> list[str]:
    return [brand["name"] for brand in (await api.call("GET", BRANDS)).json()["items"]]


async def test_a_brand_is_kept_as_it_is_given(api: Api) -> None:
    made = await put(api, **FULL)
    assert made == {**FULL, "brand_id": made["brand_id"]}
    assert (await api.call("GET", f"{BRANDS}/{made['brand_id']}")).json() == made
    assert (await api.call("GET", BRANDS)).json() == {"items": [made], "next_cursor": None}


@pytest.mark.parametrize("spelling", ["openai", "OPENAI", "ＯｐｅｎＡＩ", "  OpenAI "])
async def test_a_name_is_one_brand_in_whatever_case_and_width(api: Api, spelling: str) -> None:
    first = await put(api, name="OpenAI", aliases=["ChatGPT"])
    again = await put(api, name=spelling)
    assert again["brand_id"] == first["brand_id"]
    assert (again["name"], again["aliases"]) == (spelling.strip(), [])
    assert await names(api) == [spelling.strip()]


async def test_the_same_name_at_once_is_one_brand(api: Api) -> None:
    made = await asyncio.gather(*(put(api, name=name) for name in ("Notion", "NOTION", "notion")))
    assert len({brand["brand_id"] for brand in made}) == 1
    assert len(await names(api)) == 1


async def test_a_brand_can_be_renamed_but_not_to_another_ones_name(api: Api) -> None:
    one, two = await put(api, name="Notion"), await put(api, name="Obsidian")
    path = f"{BRANDS}/{one['brand_id']}"
    problem(await api.call("PUT", path, json={"name": "OBSIDIAN"}), 409, "name-taken")
    renamed = (await api.call("PUT", path, json={"name": "Notion Labs"})).json()
    assert (renamed["brand_id"], renamed["name"]) == (one["brand_id"], "Notion Labs")
    assert await names(api) == ["Notion Labs", "Obsidian"]
    await api.call("DELETE", f"{BRANDS}/{two['brand_id']}")
    taken = problem(await api.call("PUT", path, json={"name": "obsidian"}), 409, "name-taken")
    assert "PUT /v1/brands" in taken["hint"]


async def test_a_deleted_brand_is_gone_and_comes_back_as_the_same(api: Api) -> None:
    made = await put(api, **FULL)
    path = f"{BRANDS}/{made['brand_id']}"
    gone = await api.call("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    for again in (
        await api.call("DELETE", path),
        await api.call("GET", path),
        await api.call("PUT", path, json={"name": "Roam"}),
        await api.start(brands=[made["brand_id"]]),
    ):
        problem(again, 404, "not-found")
    assert await names(api) == []
    back = await put(api, name="ROAM research")
    assert back["brand_id"] == made["brand_id"]
    assert back["aliases"] == []


async def test_runs_keep_what_they_looked_for(api: Api) -> None:
    made = await put(api, **FULL)
    run = (await api.start(brands=[made["brand_id"]])).json()["links"]["run"]
    await put(api, name="ROAM RESEARCH", aliases=["Another"])
    await api.call("DELETE", f"{BRANDS}/{made['brand_id']}")
    assert (await api.call("GET", run)).json()["brands"] == [made]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "X"}, "invalid-run"),
        ({"name": "!!"}, "invalid-run"),
        ({"name": "Fine", "aliases": ["y"]}, "invalid-run"),
        ({"name": "\ufdfa" * 200}, "invalid-run"),
        ({"name": ""}, "invalid-request"),
        ({"name": "No\x00tion"}, "invalid-request"),
        ({"name": "x" * 201}, "invalid-request"),
        ({"name": "Notion", "domains": ["not a domain"]}, "invalid-request"),
        ({"name": "Notion", "case": "maybe"}, "invalid-request"),
        ({"name": "Notion", "alias": []}, "invalid-request"),
        ({"name": "Notion", "aliases": ["ab"] * 51}, "invalid-request"),
    ],
)
async def test_an_unusable_brand_is_refused(api: Api, body: dict[str, Any], code: str) -> None:
    problem(await api.call("PUT", BRANDS, json=body), 422, code)
    brand_id = (await put(api, name="There"))["brand_id"]
    problem(await api.call("PUT", f"{BRANDS}/{brand_id}", json=body), 422, code)
    assert await names(api) == ["There"]


async def test_a_brand_may_repeat_its_name_as_an_alias(api: Api) -> None:
    assert (await put(api, name="Notion", aliases=["notion", "NOTION"]))["name"] == "Notion"


async def test_brands_of_another_tenant_are_not_there(api: Api) -> None:
    made, other = await put(api, **FULL), await api.another_tenant()
    path = f"{BRANDS}/{made['brand_id']}"
    problem(await other.call("GET", path), 404, "not-found")
    problem(await other.call("PUT", path, json={"name": "Mine"}), 404, "not-found")
    problem(await other.call("DELETE", path), 404, "not-found")
    problem(await other.start(brands=[made["brand_id"]]), 404, "not-found")
    run = (await other.start()).json()["links"]["run"]
    again = {"brands": [made["brand_id"]]}
    problem(await other.call("POST", f"{run}/reanalyses", json=again), 404, "not-found")
    assert await names(other) == ["Notion", "光珈琲"]
    theirs = await put(other, name="Roam Research")
    assert theirs["brand_id"] != made["brand_id"]
    assert (await api.call("GET", path)).json() == made


async def test_brands_are_listed_by_name_page_by_page(api: Api) -> None:
    wanted = ["alpha", "Beta", "ΓΑΜΜΑ", *(f"{'界' * 190}{n}" for n in range(10, 14)), "𝕏" * 200]
    for name in wanted:
        await put(api, name=name)
    found: list[str] = []
    params: dict[str, str] = {"limit": "1"}
    while True:
        page = (await api.call("GET", BRANDS, params=params)).json()
        found += [brand["name"] for brand in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert sorted(found) == sorted(wanted)
    assert found[:2] == ["alpha", "Beta"]


def coded(position: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "!",
        "é",
        "YQ",
        coded(5),
        coded([]),
        coded(["a", "b", "c"]),
        coded(["\ud800"]),
        coded([["x"] * 3] * 2),
        coded(["0001-01-01T00:00:00+14:00", SOME_ID]),
        coded(["9999-12-31T23:59:59-14:00", SOME_ID]),
        coded(["2026-11-20T09:00:00", SOME_ID]),
        base64.urlsafe_b64encode(b"[" * 1400).decode(),
        base64.urlsafe_b64encode(b"[" + b"9" * 1400 + b"]").decode(),
        "x" * 2001,
    ],
)
@pytest.mark.parametrize("path", [BRANDS, RUNS, "/v1/prompts"])
async def test_a_cursor_that_was_never_given_out_is_refused(
    api: Api, cursor: str, path: str
) -> None:
    response = await api.call("GET", path, params={"cursor": cursor})
    assert response.status_code in ({200, 422} if path == BRANDS else {422}), response.text


async def test_a_run_makes_brands_and_finds_them_again(api: Api) -> None:
    made = await put(api, name="Notion", aliases=["Notion.so"], own=True)
    inline = [{"name": "NOTION", "aliases": ["Notion HQ"]}, {"name": "New One"}]
    run = (await api.start(brands=inline)).json()["links"]["run"]
    shown = (await api.call("GET", run)).json()["brands"]
    assert [(brand["name"], brand["aliases"]) for brand in shown] == [
        ("NOTION", ["Notion HQ"]),
        ("New One", []),
    ]
    assert shown[0]["brand_id"] == made["brand_id"]
    stored = (await api.call("GET", f"{BRANDS}/{made['brand_id']}")).json()
    assert stored == made
    assert await names(api) == ["New One", "Notion"]


async def test_a_brand_that_is_made_meanwhile_stays_as_it_was_made(api: Api) -> None:
    one = Brand(uuid4(), "Notion", ("First",))
    two = Brand(uuid4(), "NOTION", ("Second",))

    async def named(brand: Brand) -> UUID:
        async with api.kit.store.transaction() as transaction:
            (found,) = await api.kit.bind(transaction).named_brands(api.tenant_id, [brand])
            return found.brand_id

    async with api.kit.store.transaction() as transaction:
        await api.kit.bind(transaction).named_brands(api.tenant_id, [one])
        later = asyncio.create_task(named(two))
        done, _ = await asyncio.wait({later}, timeout=0.1)
        assert not done
    assert await later == one.brand_id
    (kept,) = (await api.call("GET", BRANDS)).json()["items"]
    assert (kept["name"], kept["aliases"]) == ("Notion", ["First"])


async def test_a_run_brings_a_deleted_brand_back_as_it_names_it(api: Api) -> None:
    made = await put(api, **FULL)
    await api.call("DELETE", f"{BRANDS}/{made['brand_id']}")
    await api.start(brands=[{"name": "roam research", "aliases": ["RoamR"]}])
    (back,) = (await api.call("GET", BRANDS)).json()["items"]
    assert (back["brand_id"], back["name"]) == (made["brand_id"], "roam research")
    assert (back["aliases"], back["exclude"]) == (["RoamR"], [])


async def test_ids_and_names_may_be_mixed_but_not_name_a_brand_twice(api: Api) -> None:
    made = await put(api, name="Notion")
    mixed = [made["brand_id"], {"name": "Obsidian"}, made["brand_id"]]
    run = (await api.start(brands=mixed)).json()["links"]["run"]
    shown = (await api.call("GET", run)).json()["brands"]
    assert [brand["name"] for brand in shown] == ["Notion", "Obsidian"]
    twice = await api.start(brands=[made["brand_id"], {"name": "notion"}])
    assert "comes twice" in problem(twice, 422, "invalid-run")["title"]


async def test_a_run_that_names_no_brands_looks_for_all(api: Api) -> None:
    for name in ("Notion", "Obsidian"):
        await put(api, name=name)
    await api.call("DELETE", f"{BRANDS}/{(await put(api, name='Gone'))['brand_id']}")
    body = {"prompts": ["Which?"], "models": ["openai/gpt-5"]}
    assert (await api.call("POST", RUNS, json=body)).status_code == 202
    (event,) = await owed(api, VISIBILITY_RUN_STARTED)
    assert [brand.name for brand in event.brands] == ["Notion", "Obsidian"]


async def test_all_brands_must_be_told_apart(api: Api) -> None:
    await put(api, name="Roam Research", aliases=["Roam"])
    await put(api, name="Roam Mobility", aliases=["ROAM"])
    body = {"prompts": ["Which?"], "models": ["openai/gpt-5"]}
    refused = await api.call("POST", RUNS, json=body)
    assert "'roam' comes twice" in problem(refused, 422, "invalid-run")["title"]


async def test_a_refused_run_makes_no_brand(api: Api) -> None:
    problem(await api.start(samples=1000), 422, "invalid-run")
    assert await names(api) == []
    assert await asked(api, str(uuid4())) == []


async def test_a_brand_outlives_the_runs_that_made_it(api: Api) -> None:
    run_id = (await api.start(samples=1)).json()["run_id"]
    await Feed(api.kit).tell(api.tenant_id, *map(failed, await asked(api, run_id)))
    assert await names(api) == ["Notion", "光珈琲"]
