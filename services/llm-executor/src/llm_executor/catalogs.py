"""Reads the providers' lists of models, uses their facts, and publishes what changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from bus.errors import RecordTooLarge, Transient
from bus.outbox import OutboxRow, originate
from bus.port import Log
from contracts.envelope import PLATFORM_TENANT, Envelope
from contracts.events.catalog import CatalogModel, ModelCatalogChanged, Prices
from contracts.topics import MODEL_CATALOG_CHANGED
from runtime.deadline import Deadline
from runtime.ids import new_id
from runtime.logging import logger
from runtime.tasks import Periodic

from llm_executor.domain import SERVICE
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import UNLISTED, Catalog, ListedModel
from llm_executor.domain.ports import CallStore, Providers

_log = logger(__name__)
EVERY_SECONDS = 3600.0
READ_SECONDS = 20.0
_MODALITIES = 20


class Catalogs:
    """Reads the lists at the start and every hour.

    The version that was published is remembered after the log has it: a crash in between
    publishes the same list twice, and the topic is compacted.
    """

    def __init__(self, providers: Providers, store: CallStore, log: Log) -> None:
        self._providers = providers
        self._store = store
        self._source = log
        self._task = Periodic(f"{SERVICE} catalogs", EVERY_SECONDS, self.refresh, (Transient,))

    async def start(self) -> None:
        """Begin to read; nothing waits for it."""
        await self._task.start()

    async def stop(self, deadline: Deadline) -> None:
        """End after the list at hand."""
        await self._task.stop(deadline)

    async def refresh(self) -> None:
        """Read all lists once. One that cannot be read keeps the facts of before."""
        await self._announce()
        for name in self._providers.listing():
            try:
                catalog = await self._providers.named(name).catalog(READ_SECONDS)
            except CallFailed as failure:
                _log.warning("no model list", provider=name, kind=failure.kind, error=str(failure))
                continue
            self._providers.learn(catalog)
            await self._publish(catalog)
        for name in self._providers.unlisted():
            await self._publish(_unlisted(name))

    async def _announce(self) -> None:
        """Name providers that nobody has heard of, all at once, before any list is read.

        Readers tell unknown providers from known ones by what has arrived: a provider whose list
        takes seconds to read must not look unknown meanwhile.
        """
        names = [*self._providers.listing(), *self._providers.unlisted()]
        new = [name for name in names if await self._store.known_catalog(name) is None]
        if new:
            await self._send([_row(_unlisted(name)) for name in new])
        for name in new:
            await self._store.published_catalog(_unlisted(name))

    async def _send(self, rows: Sequence[OutboxRow]) -> None:
        producer = await self._source.producer()
        try:
            await producer.send([row.record(None) for row in rows])
        finally:
            await producer.close()

    async def _publish(self, catalog: Catalog) -> None:
        if await self._store.known_catalog(catalog.provider) == catalog.version:
            return
        try:
            row = _row(catalog)
        except RecordTooLarge as error:
            _log.warning("model list not published", provider=catalog.provider, error=str(error))
            return
        await self._send([row])
        await self._store.published_catalog(catalog)


def _unlisted(name: str) -> Catalog:
    return Catalog(name, UNLISTED, (), simulated=False, complete=False)


def _row(catalog: Catalog) -> OutboxRow:
    now = datetime.now(UTC)
    event = ModelCatalogChanged(
        provider=catalog.provider,
        version=catalog.version,
        models=tuple(_model(model) for model in catalog.models),
        complete=catalog.complete,
        simulated=catalog.simulated,
        fetched_at=now,
    )
    identity = str(new_id())
    envelope = Envelope(
        id=identity,
        source=SERVICE,
        type=MODEL_CATALOG_CHANGED.name,
        time=now,
        subject=catalog.provider,
        tenant_id=PLATFORM_TENANT,
        correlation_id=identity,
    )
    return originate(MODEL_CATALOG_CHANGED, event, envelope)


def _model(model: ListedModel) -> CatalogModel:
    prices = model.prices
    return CatalogModel(
        name=model.name,
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        input_modalities=model.input_modalities[:_MODALITIES],
        output_modalities=model.output_modalities[:_MODALITIES],
        parameters=model.parameters,
        prices=(
            None
            if prices is None
            else Prices.model_validate({f"{name}_usd": usd for name, usd in prices.items()})
        ),
    )
