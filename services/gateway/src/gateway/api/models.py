"""Routes of the models that can be asked."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.api.access import Reader
from gateway.api.errors import errors
from gateway.api.ports import PortsOf
from gateway.schemas.models import CatalogView, catalog_view

router = APIRouter(
    prefix="/v1/models", tags=["brands and prompts"], responses=errors(401, 403, 429)
)


@router.get("", summary="Models that providers list")
async def listed(caller: Reader, ports: PortsOf) -> list[CatalogView]:
    """The latest list of each provider that publishes one, with prices in USD a token.

    A provider that is not here may still be asked: then its models fail or not when called.
    """
    return [catalog_view(catalog) for catalog in await ports.runs.catalogs()]
