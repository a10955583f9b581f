"""Calls to language models: asked for by any service, made by the llm-executor only."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, JsonValue, model_validator

from contracts.events.base import Event, ModelName, Part, Slug, Usd

VISIBILITY = "visibility"
"""``Origin.kind`` of the calls of visibility runs."""


class Image(Part):
    """A picture beside a turn's text: an address that the provider fetches, or a data URL."""

    url: Annotated[str, Field(pattern=r"^(https://|data:image/[a-z0-9.+-]+;base64,)")]


class Message(Part):
    """One turn of the conversation sent to the model."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(min_length=1)]
    images: tuple[Image, ...] = ()


class Origin(Part):
    """Why a completion was asked for; echoed in the result, so that the asker knows its own.

    ``kind`` names the job (``visibility``), ``parent_id`` its run or question, ``item_id`` the
    part of it (a prompt), ``sample`` the repetition, counted from 0.
    """

    kind: Slug
    parent_id: UUID
    item_id: UUID
    sample: Annotated[int, Field(ge=0)] = 0


class Budget(Part):
    """A sum that all requests with the same ``budget_id`` of a tenant share.

    A call is made only if its highest possible cost still fits. Without ``max_output_tokens``
    that cost is an assumption, and calls in flight may go past the limit by what they exceed it.
    """

    budget_id: UUID
    limit_usd: Usd


class CompletionRequested(Event):
    """Ask for one model call.

    ``completion_id`` is the idempotency key: asked twice, called once. A sample of a measurement
    (``origin.kind`` visibility, or ``origin.sample`` above 0) is never answered from a cache, and
    one of a visibility run never by another model than the one asked for.
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
    fallbacks: tuple[ModelName, ...] | None = Field(
        default=None,
        description="tried in turn if the model cannot answer; null: as configured, []: none",
    )
    priority: Literal["interactive", "batch"] = Field(
        default="batch", description="interactive requests go first"
    )
    weight: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="the tenant's share of calls in flight, beside other tenants"
    )
    stream: bool = Field(default=False, description="also publish completion.chunked.v1")
    response_schema: dict[str, JsonValue] | None = Field(
        default=None, description="JSON Schema that the text of the answer must satisfy"
    )
    on_unknown: Literal["retry", "fail"] = Field(
        default="retry",
        description="what to do if a crash hides whether the call was made: call again, or fail",
    )
    budget: Budget | None = None
    cache_seconds: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="take an answer of the tenant to the very same request that is no older",
    )

    @model_validator(mode="after")
    def _a_sample_is_a_sample(self) -> CompletionRequested:
        measured = self.origin.kind == VISIBILITY
        if self.cache_seconds is not None and (measured or self.origin.sample > 0):
            raise ValueError("a sample cannot come from a cache: leave out cache_seconds")
        if measured and self.fallbacks:
            raise ValueError("a visibility sample has no fallbacks: leave them out")
        return self


class Usage(Part):
    """Tokens as the provider counted them, over all attempts that it counted.

    ``input_tokens`` include the cached ones, ``output_tokens`` those spent on reasoning.
    """

    input_tokens: Annotated[int, Field(ge=0)]
    output_tokens: Annotated[int, Field(ge=0)]
    cached_input_tokens: Annotated[int, Field(ge=0)] | None = None
    reasoning_tokens: Annotated[int, Field(ge=0)] | None = None


class Cost(Part):
    """What the calls of a completion cost. ``usd`` null: unknown, for the reason given."""

    usd: Usd | None = Field(default=None, description="exact; over all attempts with a known usage")
    price_version: str | None = Field(default=None, description="which price list was applied")
    unknown: str | None = Field(default=None, description="why there is no sum, and what to do")
    complete: bool = Field(
        default=True, description="false if an attempt that may be billed reported no usage"
    )


class Tried(Part):
    """A model that was tried before the one that ended the completion, and why it was left."""

    model: ModelName
    attempts: Annotated[int, Field(ge=0)]
    failure_kind: Slug


class Failure(Part):
    """Why there is no answer. Readers must expect kinds they do not know."""

    kind: Slug = Field(
        description=(
            "rate-limited, overloaded, server-error, timed-out, connection-failed, stream-cut, "
            "malformed-answer, auth, out-of-credit, bad-request, context-too-long, "
            "content-filtered, unknown-provider, unknown-model, schema-violated, "
            "answer-too-large, breaker-open, outcome-unknown, price-unknown, internal-error; "
            "not run: budget, cancelled, deadline-passed"
        )
    )
    message: str = Field(description="what happened and what to do; never holds a secret")


class CompletionFinished(Event):
    """The end of a completion: answered, failed, or not run. Exactly one per ``completion_id``.

    ``not_run`` means that nothing failed: the budget, a cancellation or the deadline came before
    the call. ``queue_ms`` is the time from the request to the start of the last attempt,
    ``provider_ms`` the time the provider took for it: at high parallelism only the latter says
    anything about the model.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {
                    "if": {"properties": {"outcome": {"const": "answered"}}},
                    "then": {"required": ["text"], "properties": {"text": {"type": "string"}}},
                },
                {
                    "if": {"properties": {"outcome": {"enum": ["failed", "not_run"]}}},
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
    model_called: ModelName | None = Field(
        default=None,
        description="the one called last, of provider and model; not ``model`` after a fallback",
    )
    tried: tuple[Tried, ...] = Field(default=(), description="models given up before, in turn")
    origin: Origin
    outcome: Literal["answered", "failed", "not_run"]
    text: str | None = None
    finish_reason: str | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    cost: Cost | None = Field(default=None, description="null if no call was made")
    attempts: Annotated[int, Field(ge=0)] = Field(description="calls to providers, all models")
    repairs: Annotated[int, Field(ge=0)] = Field(
        default=0, description="calls that asked again for JSON that satisfies the schema"
    )
    queue_ms: Annotated[int, Field(ge=0)]
    provider_ms: Annotated[int, Field(ge=0)] | None = None
    first_token_ms: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="time to the first piece of text; only of streamed calls"
    )
    not_settable: tuple[str, ...] = Field(
        default=(), description="parameters of the request that the model does not take"
    )
    from_cache: bool = False
    outcome_unknown: bool = Field(
        default=False, description="a process that died may have made a call of its own before"
    )
    simulated: bool = Field(description="true if a simulator answered in a provider's place")
    finished_at: AwareDatetime

    @model_validator(mode="after")
    def _outcome_has_its_part(self) -> CompletionFinished:
        if self.outcome == "answered" and self.text is None:
            raise ValueError("an answered completion needs text")
        if self.outcome != "answered" and self.failure is None:
            raise ValueError(f"a completion that is {self.outcome} needs failure")
        return self


class CompletionChunked(Event):
    """A piece of an answer on its way, for people who watch; may be lost, the end never is.

    Pieces of one ``attempt`` join in the order of ``index``, from 0. A higher attempt starts
    over: what was shown of the one before is void.
    """

    completion_id: UUID
    origin: Origin
    model_called: ModelName
    attempt: Annotated[int, Field(ge=1)]
    index: Annotated[int, Field(ge=0)]
    text: str
    simulated: bool

    @property
    def number(self) -> int:
        """Attempt and index in one number: what its event id is derived from."""
        return self.attempt * 1_000_000 + self.index


class CompletionBatchCancelled(Event):
    """All completions of a run or question (``Origin.parent_id``) that are not called yet stop.

    Each of them still ends, with outcome ``not_run``. Calls already made end as they would.
    """

    parent_id: UUID
    cancelled_at: AwareDatetime
