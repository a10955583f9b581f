"""JSON shapes of the providers' lists of models."""

from __future__ import annotations

from datetime import datetime

from contracts.events.base import Usd
from pydantic import BaseModel, Field

from gateway.domain.catalog import ModelCatalog


class ModelView(BaseModel):
    """A model by the name that runs call it. Prices are USD a token; null: not known."""

    model: str
    input_usd: Usd | None
    output_usd: Usd | None
    request_usd: Usd | None


class CatalogView(BaseModel):
    """The models of one provider."""

    provider: str
    version: str
    simulated: bool
    complete: bool = Field(description="false: the provider has no list; ask it for any model")
    fetched_at: datetime
    models: list[ModelView]


def catalog_view(catalog: ModelCatalog) -> CatalogView:
    """A list of models as JSON."""
    return CatalogView(
        provider=catalog.provider,
        version=catalog.version,
        simulated=catalog.simulated,
        complete=catalog.complete,
        fetched_at=catalog.fetched_at,
        models=[
            ModelView(
                model=f"{catalog.provider}/{name}",
                input_usd=price.input_usd,
                output_usd=price.output_usd,
                request_usd=price.request_usd,
            )
            for name, price in sorted(catalog.models.items())
        ],
    )
