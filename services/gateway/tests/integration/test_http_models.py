"""What the providers' lists of models do to runs: unknown models, costs, budgets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from contracts.envelope import PLATFORM_TENANT
from contracts.events.catalog import CatalogModel, ModelCatalogChanged, Prices
from services.gateway.tests.calling_api import Api, problem
from services.gateway.tests.feeding import AT, Feed
from services.gateway.tests.kits import Kit

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def api(kit: Kit) -> AsyncIterator[Api]:
    await kit.pool.execute("TRUNCATE model_catalogs")
    made = await Api.over(kit)
    yield made
    await made.http.aclose()


async def test_an_idempotency_key_is_answered_before_anything_is_judged(api: Api) -> None:
    headers, model = {"Idempotency-Key": "order-1"}, f"p-{uuid4().hex[:8]}/m"
    first = await api.start(headers, models=[model])
    await Feed(api.kit).tell(PLATFORM_TENANT, catalog(model.partition("/")[0]))
    again = await api.start(headers, models=[model])
    assert (again.status_code, again.content) == (first.status_code, first.content)
    problem(await api.start(models=[model]), 422, "invalid-run")


def catalog(provider: str, *models: CatalogModel, **changes: Any) -> ModelCatalogChanged:
    given: dict[str, Any] = {"version": "1", "simulated": False, "fetched_at": AT}
    return ModelCatalogChanged(provider=provider, models=models, **given | changes)


def listed(name: str, usd: str | None = None) -> CatalogModel:
    prices = None if usd is None else Prices(input_usd=Decimal(usd), output_usd=Decimal(usd))
    return CatalogModel(name=name, prices=prices)


async def test_models_that_providers_list_are_shown_with_prices(api: Api) -> None:
    name = f"p-{uuid4().hex[:8]}"
    await Feed(api.kit).tell(PLATFORM_TENANT, catalog(name, listed("b", "0.5"), listed("a/x")))
    found = (await api.call("GET", "/v1/models")).json()
    (mine,) = [one for one in found if one["provider"] == name]
    assert [(one["model"], one["input_usd"]) for one in mine["models"]] == [
        (f"{name}/a/x", None),
        (f"{name}/b", "0.5"),
    ]


async def test_an_older_list_does_not_replace_a_newer_one(api: Api) -> None:
    name, feed = f"p-{uuid4().hex[:8]}", Feed(api.kit)
    await feed.tell(PLATFORM_TENANT, catalog(name, listed("new")))
    older = catalog(name, listed("old"), version="0", fetched_at=AT - timedelta(days=1))
    await feed.tell(PLATFORM_TENANT, older)
    assert (await api.start(models=[f"{name}/new"])).status_code == 202
    problem(await api.start(models=[f"{name}/old"]), 422, "invalid-run")


async def test_an_unknown_model_is_refused_once_its_provider_has_a_list(api: Api) -> None:
    name = f"p-{uuid4().hex[:8]}"
    await Feed(api.kit).tell(PLATFORM_TENANT, catalog(name, listed("there")))
    refused = problem(await api.start(models=[f"{name}/gone"]), 422, "invalid-run")
    assert f"{name}/gone" in refused["title"]
    assert "/v1/models" in refused["hint"]
    assert await api.kit.owed(api.tenant_id) == []
    assert (await api.start(models=[f"{name}/there"])).status_code == 202


async def test_any_model_may_be_asked_of_a_provider_without_a_list(api: Api) -> None:
    name = f"p-{uuid4().hex[:8]}"
    await Feed(api.kit).tell(PLATFORM_TENANT, catalog(name, listed("known"), complete=False))
    assert (await api.start(models=[f"{name}/other"])).status_code == 202


async def test_a_cost_is_estimated_and_a_budget_that_holds_nothing_refused(api: Api) -> None:
    name = f"p-{uuid4().hex[:8]}"
    models = [f"{name}/cheap", f"{name}/unpriced"]
    feed = Feed(api.kit)
    await feed.tell(PLATFORM_TENANT, catalog(name, listed("cheap", "0.01"), listed("unpriced")))
    body: dict[str, Any] = {"prompts": ["x" * 30], "samples": 2}
    accepted = (await api.start(models=models, **body)).json()
    assert accepted["estimated_cost"] == {"usd": "12.20", "unpriced_models": [models[1]]}
    refused = await api.start(models=models[:1], budget_usd="0.09", **body)
    assert "too small" in problem(refused, 422, "invalid-run")["title"]
    assert (await api.start(models=models[:1], budget_usd="0.10", **body)).status_code == 202


async def test_any_model_may_be_asked_for_until_a_list_has_come(api: Api) -> None:
    assert (await api.start(models=["nobody/knows"])).status_code == 202
    await Feed(api.kit).tell(PLATFORM_TENANT, catalog("somebody", listed("else")))
    problem(await api.start(models=["nobody/knows"], samples=1), 422, "invalid-run")
