"""JSON shapes of brands and prompts."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from runtime.ids import new_id

from gateway.domain.models import Brand, Prompt
from gateway.schemas.common import NoNul, RequestBody

BrandName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NoNul)
]
Domain = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=253, pattern=r"^[^\s\x00]+$"),
]
Case = Literal["auto", "exact", "any"]


class BrandIn(RequestBody):
    """A brand to look for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Roam Research",
                    "aliases": ["Roam"],
                    "domains": ["roamresearch.com"],
                    "exclude": ["Roam Mobility"],
                    "own": True,
                }
            ]
        },
    )

    name: BrandName
    aliases: list[BrandName] = Field(default_factory=list, max_length=50)
    domains: list[Domain] = Field(
        default_factory=list, max_length=50, description="its sites: whose citations are its own"
    )
    exclude: list[BrandName] = Field(
        default_factory=list,
        max_length=50,
        description="phrases that contain a name and are not the brand",
    )
    own: bool = Field(default=False, description="yours, not a competitor's")
    case: Case = Field(
        default="auto",
        description="whether case tells the name from other words; auto: for ordinary words and "
        "very short names",
    )


class BrandView(BaseModel):
    """A brand of the tenant."""

    brand_id: UUID
    name: str
    aliases: list[str]
    domains: list[str]
    exclude: list[str]
    own: bool
    case: str


class BrandPage(BaseModel):
    """Brands by name."""

    items: list[BrandView]
    next_cursor: str | None = Field(description="pass as cursor for the next page; null: no more")


class PromptView(BaseModel):
    """A question that runs or imports of the tenant have asked."""

    prompt_id: UUID
    text: str
    locale: str | None
    persona: str


class PromptPage(BaseModel):
    """Prompts by id."""

    items: list[PromptView]
    next_cursor: str | None = Field(description="pass as cursor for the next page; null: no more")


def brand_of(body: BrandIn, brand_id: UUID | None = None) -> Brand:
    """The brand of a request, with a new id unless one is given."""
    return Brand(
        brand_id=brand_id or new_id(),
        name=body.name,
        aliases=tuple(body.aliases),
        domains=tuple(body.domains),
        exclude=tuple(body.exclude),
        own=body.own,
        case=body.case,
    )


def brand_view(brand: Brand) -> BrandView:
    """A brand as JSON."""
    return BrandView(
        brand_id=brand.brand_id,
        name=brand.name,
        aliases=list(brand.aliases),
        domains=list(brand.domains),
        exclude=list(brand.exclude),
        own=brand.own,
        case=brand.case,
    )


def prompt_view(prompt: Prompt) -> PromptView:
    """A prompt as JSON."""
    return PromptView(
        prompt_id=prompt.prompt_id,
        text=prompt.text,
        locale=prompt.locale,
        persona=prompt.persona,
    )
