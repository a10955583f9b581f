"""JSON shapes of what callers without a key may ask."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.schemas.brands import BrandIn, BrandName
from gateway.schemas.common import NoNul, RequestBody
from gateway.schemas.runs import Model, RunAccepted, RunRequest, RunSummary

DEMO_RUNS = "/demo/visibility/runs"
ShortPrompt = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=NoNul)
]


class DemoBrand(RequestBody):
    """A brand to look for."""

    name: BrandName
    aliases: list[BrandName] = Field(default_factory=list, max_length=5)


class DemoRunRequest(RequestBody):
    """A small run: prompts x models x samples are at most 12."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "brands": [{"name": "Notion"}, {"name": "Obsidian"}],
                    "prompts": ["Which note-taking app should a small team use?"],
                    "samples": 4,
                }
            ]
        },
    )

    brands: list[DemoBrand] = Field(min_length=1, max_length=3)
    prompts: list[ShortPrompt] = Field(min_length=1, max_length=2)
    models: list[Model] | None = Field(
        default=None, min_length=1, max_length=12, description="by default the first of the demo's"
    )
    samples: Annotated[int, Field(ge=1, le=12, strict=True)] = 1


class DemoRuns(BaseModel):
    """Finished runs, newest first."""

    items: list[RunSummary]
    models: list[str] = Field(description="what a run of yours may ask")


def full_request(body: DemoRunRequest, models: list[str], budget_usd: str) -> RunRequest:
    """The run that is asked for; one of the same input that is there is shown instead."""
    return RunRequest.model_validate(
        {
            "name": "demo",
            "brands": [BrandIn(**brand.model_dump()).model_dump() for brand in body.brands],
            "prompts": body.prompts,
            "models": models,
            "samples": body.samples,
            "budget_usd": budget_usd,
            "deduplicate": True,
        }
    )


def demo_accepted(stored: bytes) -> RunAccepted:
    """The answer to a command for callers without a key: with the links that they can follow."""
    accepted = RunAccepted.model_validate_json(stored)
    base = f"{DEMO_RUNS}/{accepted.run_id}"
    return accepted.model_copy(update={"links": {"run": base, "report": f"{base}/report"}})
