"""Lists of models: read, used for prices, published when they differ from the last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio
from bus.codec import decode
from bus.errors import Unavailable
from bus.local import LocalLog
from contracts.events.catalog import ModelCatalogChanged
from contracts.topics import MODEL_CATALOG_CHANGED, topic_named
from devkit.simulator import default_config, serve
from executor_kit import open_log
from llm_executor.adapters.memory import (
    FixedProviders,
    MemoryCalls,
    MemoryCallStore,
    ScriptedProvider,
)
from llm_executor.adapters.providers import Account, ConfiguredProviders
from llm_executor.catalogs import Catalogs
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Catalog, ListedModel

pytestmark = pytest.mark.asyncio
PRICES = {"input": Decimal("0.00000015"), "output": Decimal("0.0000006"), "request": Decimal(0)}
LISTED = ListedModel("llama-4", 131072, 8192, ("text", "image"), ("text",), ("seed",), PRICES)
CATALOG = Catalog("acme", "v1", (LISTED, ListedModel("unpriced")), simulated=False)


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    opened = await open_log(tmp_path)
    yield opened
    await opened.close()


class Listing(ScriptedProvider):
    """Lists what it is told, or fails."""

    def __init__(self, *lists: Catalog | CallFailed) -> None:
        super().__init__()
        self._lists = list(lists)

    async def catalog(self, timeout: float) -> Catalog:
        found = self._lists.pop(0)
        if isinstance(found, CallFailed):
            raise found
        return found


class Learning(FixedProviders):
    """Keeps what it learns."""

    def __init__(self, provider: Listing) -> None:
        super().__init__({"acme": provider})
        self.learned: list[Catalog] = []

    def learn(self, catalog: Catalog) -> None:
        self.learned.append(catalog)


async def published(log: LocalLog, *, all_of_them: bool = False) -> list[ModelCatalogChanged]:
    """Lists in their order, and with ``all_of_them`` also that a provider is there."""
    name = MODEL_CATALOG_CHANGED.name
    ends = await log.end_offsets(name)
    records = [each for part, end in ends.items() for each in await log.read(part, 0, end)]
    events = []
    for record in records:
        item = decode({name: topic_named(name)}, record)
        assert (item.tenant_id, record.key) == ("platform", item.envelope.subject.encode())
        assert isinstance(item.event, ModelCatalogChanged)
        events.append(item.event)
    return [event for event in events if event.complete or all_of_them]


async def test_a_list_is_learned_and_published(log: LocalLog) -> None:
    providers = Learning(Listing(CATALOG))
    await Catalogs(providers, MemoryCallStore(), log).refresh()
    assert providers.learned == [CATALOG]
    (event,) = await published(log)
    assert (event.provider, event.version, event.simulated) == ("acme", "v1", False)
    listed, unpriced = event.models
    assert (listed.name, listed.context_tokens, listed.max_output_tokens) == (
        "llama-4",
        131072,
        8192,
    )
    assert listed.input_modalities == ("text", "image")
    assert listed.prices is not None
    assert (listed.prices.input_usd, listed.prices.request_usd) == (PRICES["input"], Decimal(0))
    assert unpriced.prices is None


async def test_only_another_list_is_published_again(log: LocalLog) -> None:
    other = replace(CATALOG, version="v2", models=())
    calls = MemoryCalls()
    providers = Learning(Listing(CATALOG, CATALOG, other))
    for _ in range(3):  # each time as another process that starts
        await Catalogs(providers, MemoryCallStore(calls), log).refresh()
    assert [event.version for event in await published(log)] == ["v1", "v2"]
    assert len(providers.learned) == 3


async def test_a_provider_without_a_list_is_told_of_once(log: LocalLog) -> None:
    accounts = {"open": Account("http://127.0.0.1:1/v1", "NOBODY_SETS_THIS")}
    calls = MemoryCalls()
    for _ in range(2):
        providers = ConfiguredProviders(accounts)
        await Catalogs(providers, MemoryCallStore(calls), log).refresh()
    (event,) = await published(log, all_of_them=True)
    assert (event.provider, event.complete, event.models) == ("open", False, ())


async def test_a_provider_is_told_of_before_its_list_is_read(log: LocalLog) -> None:
    calls = MemoryCalls()
    for _ in range(2):
        providers = Learning(Listing(CATALOG))
        await Catalogs(providers, MemoryCallStore(calls), log).refresh()
    events = await published(log, all_of_them=True)
    assert [(event.complete, event.version) for event in events] == [
        (False, "unlisted"),
        (True, "v1"),
    ]


async def test_a_list_that_cannot_be_read_changes_nothing(log: LocalLog) -> None:
    providers = Learning(Listing(CallFailed("connection-failed", "nobody is there")))
    await Catalogs(providers, MemoryCallStore(), log).refresh()
    assert (providers.learned, await published(log)) == ([], [])


async def test_a_list_that_was_not_noted_is_published_again(log: LocalLog) -> None:
    class Forgetting(MemoryCallStore):
        async def published_catalog(self, catalog: Catalog) -> None:
            if catalog.complete:
                raise Unavailable("the store is down")

    providers = Learning(Listing(CATALOG, CATALOG))
    with pytest.raises(Unavailable):
        await Catalogs(providers, Forgetting(), log).refresh()
    await Catalogs(providers, MemoryCallStore(), log).refresh()
    assert [event.version for event in await published(log)] == ["v1", "v1"]


async def test_a_list_that_no_event_can_carry_is_used_all_the_same(log: LocalLog) -> None:
    many = tuple(ListedModel(f"model-{number}" + "x" * 200) for number in range(5000))
    providers = Learning(Listing(replace(CATALOG, models=many)))
    await Catalogs(providers, MemoryCallStore(), log).refresh()
    assert (len(providers.learned), await published(log)) == (1, [])


async def test_the_simulators_list_prices_its_models(log: LocalLog) -> None:
    async with await serve(default_config()) as simulator:
        providers = ConfiguredProviders({"simulator": Account(simulator.base_url, simulated=True)})
        assert providers.facts("simulator/sim-large").price is None
        assert providers.lane("simulator/sim-large") == "simulator/*"
        await Catalogs(providers, MemoryCallStore(), log).refresh()
        (event,) = await published(log)
        facts = providers.facts("simulator/sim-large")
        await providers.close()
    assert {model.name for model in event.models} >= {"sim-large", "sim-small"}
    assert event.simulated
    assert facts.price is not None
    assert facts.price.version == f"simulator-{event.version}"
    assert facts.price.input > 0
    assert facts.context_tokens
    assert providers.lane("simulator/sim-large") == "simulator/sim-large"
