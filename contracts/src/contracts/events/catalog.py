"""Which models the providers offer, at what prices."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from contracts.events.base import Event, Part, ProviderName, Usd


class Prices(Part):
    """USD for one token, one request, one image, one search. Null: the list says nothing."""

    input_usd: Usd
    output_usd: Usd
    cached_input_usd: Usd | None = None
    cache_write_usd: Usd | None = None
    reasoning_usd: Usd | None = None
    request_usd: Usd | None = None
    image_usd: Usd | None = None
    web_search_usd: Usd | None = None


class CatalogModel(Part):
    """A model as its provider lists it. ``name`` is the provider's own, without the provider."""

    name: Annotated[str, Field(min_length=1)]
    context_tokens: Annotated[int, Field(ge=1)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    parameters: tuple[str, ...] = Field(default=(), description="that it lets a request set")
    prices: Prices | None = None


class ModelCatalogChanged(Event):
    """A provider's whole list, each time that it differs from the one before."""

    provider: ProviderName
    version: Annotated[str, Field(min_length=1)] = Field(
        description="follows from the content; costs name it as their price version"
    )
    models: tuple[CatalogModel, ...]
    complete: bool = Field(
        default=True, description="false: the provider has no list that is read; ask for any model"
    )
    simulated: bool
    fetched_at: AwareDatetime
