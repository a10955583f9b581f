"""Routes of brands, prompts and models: what runs are made of."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from gateway.api.access import Reader, Writer
from gateway.api.errors import errors
from gateway.api.ports import PortsOf
from gateway.domain.errors import NotFound
from gateway.domain.planning import check_brands
from gateway.domain.rules import folded
from gateway.schemas.brands import (
    BrandIn,
    BrandPage,
    BrandView,
    PromptPage,
    brand_of,
    brand_view,
    prompt_view,
)
from gateway.schemas.pages import Cursor, Limit, cursor_of, position_of

router = APIRouter(tags=["brands and prompts"], responses=errors(401, 403, 422, 429))
BrandId = Annotated[UUID, Path(description="id of a brand of yours")]


@router.put("/v1/brands", summary="Make or replace the brand of a name", responses=errors(400, 413))
async def put_by_name(body: BrandIn, caller: Writer, ports: PortsOf) -> BrandView:
    """The name finds it, without regard to case; runs that are there keep what they looked for."""
    brand = brand_of(body)
    check_brands([brand])
    stored = await ports.brands.put(caller.tenant_id, brand, by_name=True)
    assert stored is not None  # by name there always is one
    return brand_view(stored)


@router.get("/v1/brands", summary="List brands")
async def listed(
    caller: Reader, ports: PortsOf, limit: Limit = 100, cursor: Cursor = None
) -> BrandPage:
    """All brands of the tenant, by name."""
    after = position_of(cursor, str)
    brands = await ports.brands.of_tenant(caller.tenant_id, limit + 1, after)
    shown, more = brands[:limit], len(brands) > limit
    return BrandPage(
        items=[brand_view(brand) for brand in shown],
        next_cursor=cursor_of(folded(shown[-1].name)) if more else None,
    )


@router.get("/v1/brands/{brand_id}", summary="Show a brand", responses=errors(404))
async def show(brand_id: BrandId, caller: Reader, ports: PortsOf) -> BrandView:
    """One brand."""
    brand = await ports.brands.find(caller.tenant_id, brand_id)
    if brand is None:
        raise _none(brand_id)
    return brand_view(brand)


@router.put(
    "/v1/brands/{brand_id}",
    summary="Replace a brand",
    responses=errors(400, 404, 409, 413),
)
async def put(brand_id: BrandId, body: BrandIn, caller: Writer, ports: PortsOf) -> BrandView:
    """Another name or other aliases for a brand that is there."""
    brand = brand_of(body, brand_id)
    check_brands([brand])
    stored = await ports.brands.put(caller.tenant_id, brand, by_name=False)
    if stored is None:
        raise _none(brand_id)
    return brand_view(stored)


@router.delete(
    "/v1/brands/{brand_id}", status_code=204, summary="Delete a brand", responses=errors(404)
)
async def delete(brand_id: BrandId, caller: Writer, ports: PortsOf) -> Response:
    """Runs keep their copy. The same name makes the same brand again."""
    if not await ports.brands.delete(caller.tenant_id, brand_id):
        raise _none(brand_id)
    return Response(status_code=204)


@router.get("/v1/prompts", summary="List prompts")
async def prompts(
    caller: Reader, ports: PortsOf, limit: Limit = 100, cursor: Cursor = None
) -> PromptPage:
    """What runs and imports of the tenant have asked, each wording once."""
    found = await ports.runs.prompts(caller.tenant_id, limit + 1, position_of(cursor, UUID))
    shown, more = found[:limit], len(found) > limit
    return PromptPage(
        items=[prompt_view(prompt) for prompt in shown],
        next_cursor=cursor_of(str(shown[-1].prompt_id)) if more else None,
    )


def _none(brand_id: UUID) -> NotFound:
    return NotFound(f"no brand {brand_id}", "GET /v1/brands lists yours")
