"""Calls to language models: asked for by any service, made by the llm-executor only."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from contracts.events.base import Event, ModelName, Part, Slug

VISIBILITY = "visibility"
"""``Origin.kind`` of the calls of visibility runs."""


class Message(Part):
    """One turn of the conversation sent to the model."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(min_length=1)]


class Origin(Part):
    """Why a completion was asked for; echoed in the result, so that the asker knows its own.

    ``kind`` names the job (``visibility``), ``parent_id`` its run or question, ``item_id`` the
    part of it (a prompt), ``sample`` the repetition, counted from 0.
    """

    kind: Slug
    parent_id: UUID
    item_id: UUID
    sample: Annotated[int, Field(ge=0)] = 0


class CompletionRequested(Event):
    """Ask for one model call.

    ``completion_id`` is the idempotency key: asked twice, called once.
    """

    completion_id: UUID
    model: ModelName
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    origin: Origin
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        default=None, description="passed to providers that know it; tells samples apart"
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    deadline_at: AwareDatetime = Field(description="after this the call is not started any more")


class Usage(Part):
    """Tokens as the provider counted them."""

    input_tokens: Annotated[int, Field(ge=0)]
    output_tokens: Annotated[int, Field(ge=0)]


class Failure(Part):
    """Why there is no answer. Readers must expect kinds they do not know."""

    kind: Slug = Field(
        description=(
            "rate-limited, overloaded, server-error, timed-out, connection-failed, auth, "
            "out-of-credit, bad-request, context-too-long, content-filtered, unknown-provider, "
            "unknown-model, malformed-answer, answer-too-large, deadline-passed"
        )
    )
    message: str = Field(description="what happened and what to do; never holds a secret")


class CompletionFinished(Event):
    """The end of a completion, answered or failed. Exactly one per ``completion_id``.

    ``queue_ms`` is the time from the request to the start of the last attempt, ``provider_ms``
    the time the provider took for it: at high parallelism only the latter says anything about
    the model.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {
                    "if": {"properties": {"outcome": {"const": "answered"}}},
                    "then": {"required": ["text"], "properties": {"text": {"type": "string"}}},
                },
                {
                    "if": {"properties": {"outcome": {"const": "failed"}}},
                    "then": {
                        "required": ["failure"],
                        "properties": {"failure": {"type": "object"}},
                    },
                },
            ]
        }
    )

    completion_id: UUID
    model: ModelName = Field(description="as requested")
    model_used: str | None = Field(default=None, description="as the provider reported it")
    origin: Origin
    outcome: Literal["answered", "failed"]
    text: str | None = None
    finish_reason: str | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    attempts: Annotated[int, Field(ge=0)]
    queue_ms: Annotated[int, Field(ge=0)]
    provider_ms: Annotated[int, Field(ge=0)] | None = None
    simulated: bool = Field(description="true if a simulator answered in a provider's place")
    finished_at: AwareDatetime

    @model_validator(mode="after")
    def _outcome_has_its_part(self) -> CompletionFinished:
        if self.outcome == "answered" and self.text is None:
            raise ValueError("an answered completion needs text")
        if self.outcome == "failed" and self.failure is None:
            raise ValueError("a failed completion needs failure")
        return self
