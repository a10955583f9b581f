"""Routes of campaigns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from contracts.events.marketing import GivenId
from fastapi import APIRouter, Path, Response

from gateway.api.access import Reader, Writer
from gateway.api.errors import errors
from gateway.api.paths import given
from gateway.api.ports import PortsOf
from gateway.api.runs import IdempotencyKey, idempotency
from gateway.commands.campaigns import delete_campaign, put_campaign
from gateway.domain.errors import no_campaign
from gateway.domain.marketing import Campaign
from gateway.domain.models import StoredResponse
from gateway.schemas.campaigns import (
    CampaignIn,
    CampaignPage,
    CampaignView,
    campaign_of,
    campaign_view,
)
from gateway.schemas.pages import Cursor, Limit, cursor_of, position_of

router = APIRouter(prefix="/v1/campaigns", tags=["marketing"], responses=errors(401, 403, 422, 429))
ONE = f"/{given('campaign_id')}"
CampaignId = Annotated[GivenId, Path(description="your name for it")]


@router.put(
    ONE,
    response_model=CampaignView,
    summary="Make or replace a campaign",
    responses=errors(400, 404, 409, 413)
    | {201: {"model": CampaignView, "description": "It was not there before."}},
)
async def put(
    campaign_id: CampaignId,
    body: CampaignIn,
    caller: Writer,
    ports: PortsOf,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The campaign is what the body says, and nothing else, from ``changed_at`` on."""
    draft = campaign_of(body, caller.tenant_id, campaign_id, datetime.now(UTC))
    key = idempotency(
        "PUT", f"{router.prefix}/{campaign_id}", idempotency_key, body.model_dump_json()
    )
    stored = await put_campaign(ports.store, ports.bind, draft, _answer, key)
    return Response(stored.body, status_code=stored.status, media_type="application/json")


@router.get("", summary="List campaigns")
async def listed(
    caller: Reader, ports: PortsOf, limit: Limit = 100, cursor: Cursor = None
) -> CampaignPage:
    """All campaigns of the tenant by id, those of producers outside among them."""
    after = position_of(cursor, str)
    found = await ports.campaigns.of_tenant(caller.tenant_id, limit + 1, after)
    page, more = found[:limit], len(found) > limit
    return CampaignPage(
        items=[campaign_view(campaign) for campaign in page],
        next_cursor=cursor_of(page[-1].campaign_id) if more else None,
    )


@router.get(ONE, summary="Show a campaign", responses=errors(404))
async def show(campaign_id: CampaignId, caller: Reader, ports: PortsOf) -> CampaignView:
    """One campaign."""
    campaign = await ports.campaigns.find(caller.tenant_id, campaign_id)
    if campaign is None:
        raise no_campaign(campaign_id)
    return campaign_view(campaign)


@router.delete(ONE, status_code=204, summary="Delete a campaign", responses=errors(404, 409))
async def delete(
    campaign_id: CampaignId,
    caller: Writer,
    ports: PortsOf,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """It is recommended to nobody any more. A PUT of the same id makes it anew."""
    key = idempotency("DELETE", f"{router.prefix}/{campaign_id}", idempotency_key, "")
    await delete_campaign(ports.store, ports.bind, caller.tenant_id, campaign_id, key)
    return Response(status_code=204)


def _answer(campaign: Campaign, new: bool) -> StoredResponse:
    return StoredResponse("", 201 if new else 200, campaign_view(campaign).model_dump_json())
