"""OpenAI and everything that speaks its Chat Completions, through the real SDK.

Requests go through the SDK's ``post`` with the plain response as their type: building its models
of an answer costs as much CPU again as the call, and they hold answers against nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAioHttpClient, Omit

from llm_executor.adapters.failures import Failures, refused_parameter, said_in
from llm_executor.adapters.listing import read_catalog
from llm_executor.adapters.wire import (
    CONNECT_SECONDS,
    NO_KEY,
    SIMULATED,
    Access,
    Malformed,
    count,
    first,
    hand_on,
    member,
    parsed,
    part_of,
    text,
    usd,
)
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Call, Catalog, ModelFacts, Reply, Tokens, Turn
from llm_executor.domain.ports import OnText

# A call's parameters by the names on the wire; of several the first that the model takes.
_WIRE_NAMES = {
    "seed": ("seed",),
    "temperature": ("temperature",),
    "max_output_tokens": ("max_completion_tokens", "max_tokens"),
    "response_schema": ("response_format",),
}
# Older servers know no stream_options; without it they count no tokens of a stream.
_DROPPABLE = {name for names in _WIRE_NAMES.values() for name in names} | {"stream_options"}
_FILTERED = frozenset(
    {"content_filter", "content_policy_violation", "safety", "prohibited_content", "blocklist"}
)
# Keywords that strict structured output takes (OpenAI's guide); others make it refuse the call.
_STRICT_KEYWORDS = frozenset(
    {"$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "title"}
    | {"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf", "type"}
    | {"format", "pattern", "items", "maxItems", "minItems", "properties", "required"}
)
_DONE = b"[DONE]"


def _nothing_known(_model: str) -> ModelFacts:
    return ModelFacts()


class OpenAIProvider:
    """One account at one provider. The SDK's own retries are off: the executor counts attempts.

    ``facts`` says what is known of a model. ``reports_cost``: the provider tells what a call
    cost if asked to (OpenRouter). A parameter that a model refuses is left out of its calls from
    then on, as long as the process lives.
    """

    def __init__(
        self,
        access: Access,
        facts: Callable[[str], ModelFacts] = _nothing_known,
        *,
        reports_cost: bool = False,
    ) -> None:
        self.simulated = access.simulated
        self._name = access.name
        self._facts = facts
        self._reports_cost = reports_cost
        self._failures = Failures(access, openai.OpenAIError)
        self._refused: dict[str, frozenset[str]] = {}
        self._headers: dict[str, str | Omit] = {} if access.api_key else {"Authorization": Omit()}
        self._client = AsyncOpenAI(
            base_url=access.base_url,
            api_key=access.api_key or NO_KEY,
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            http_client=DefaultAioHttpClient(),
        )

    async def complete(self, call: Call, timeout: float, on_text: OnText | None = None) -> Reply:
        """One attempt. A refusal of a parameter is free, and followed by a call without it."""
        async with self._failures.within(timeout):
            while True:
                body, left_out = self._body(call, stream=on_text is not None)
                try:
                    return await self._answered(body, left_out, on_text)
                except openai.APIStatusError as error:
                    self._leave_out_next_time(call.model, error, body)

    async def catalog(self, timeout: float) -> Catalog:
        """What ``/models`` lists, with prices where the provider has them (OpenRouter)."""
        async with self._failures.within(timeout, billed=False):
            response = await self._client.get(
                "/models", cast_to=httpx2.Response, options={"headers": self._headers}
            )
            page = parsed(response.content)
            simulated = self.simulated or member(page, SIMULATED) is True
            return read_catalog(self._name, [page], simulated=simulated)

    async def close(self) -> None:
        """Close the SDK's connections."""
        await self._client.close()

    def _leave_out_next_time(
        self, model: str, error: openai.APIStatusError, body: Mapping[str, object]
    ) -> None:
        """Remember which parameter was refused, or raise the error if none was."""
        sent = [name for name in body if name in _DROPPABLE]
        name = refused_parameter(said_in(error.response), sent)
        if name is None:
            raise error
        self._refused[model] = self._refused.get(model, frozenset()) | {name}

    def _body(self, call: Call, *, stream: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The body of the request, and the parameters of the call that are not in it."""
        refused = self._refused.get(call.model, frozenset())
        not_settable = self._facts(call.model).not_settable
        body: dict[str, Any] = {"model": call.model, "messages": [_message(t) for t in call.turns]}
        left_out = []
        for name, value in _parameters(call):
            names = (wire for wire in _WIRE_NAMES[name] if wire not in refused)
            wire_name = None if name in not_settable else next(names, None)
            if wire_name is None:
                left_out.append(name)
            else:
                body[wire_name] = value
        if stream:
            body["stream"] = True
            if "stream_options" not in refused:
                body["stream_options"] = {"include_usage": True}
        if self._reports_cost:
            body["usage"] = {"include": True}
        return body, tuple(left_out)

    async def _answered(
        self, body: dict[str, Any], left_out: tuple[str, ...], on_text: OnText | None
    ) -> Reply:
        answer = _Answer(self._failures)
        if on_text is None:
            response = await self._post(body, stream=False)
            answer.take(parsed(response.content), "message")
        else:
            await self._read_stream(body, answer, on_text)
        return self._reply(answer, left_out)

    async def _post(self, body: dict[str, Any], *, stream: bool) -> httpx2.Response:
        response = await self._client.post(
            "/chat/completions", cast_to=httpx2.Response, body=body, stream=stream
        )
        assert isinstance(response, httpx2.Response)  # what cast_to asks for, streamed or not
        return response

    async def _read_stream(self, body: dict[str, Any], answer: _Answer, on_text: OnText) -> None:
        def add(data: bytes) -> str | None:
            return None if data == _DONE else answer.take(parsed(data), "delta")

        answer.first_seconds = await hand_on(
            self._post(body, stream=True), add, lambda: answer.finish_reason is not None, on_text
        )
        if answer.finish_reason is None:
            raise self._failures.unfinished(answer.begun, "finish_reason")

    def _reply(self, answer: _Answer, left_out: tuple[str, ...]) -> Reply:
        joined = "".join(answer.pieces)
        if not joined and answer.finish_reason != "length":
            raise self._without_text(answer)
        return Reply(
            text=joined,
            model=answer.model,
            response_id=answer.response_id,
            finish_reason=answer.finish_reason,
            tokens=_tokens(answer.usage),
            simulated=self.simulated or answer.simulated,
            first_token_seconds=answer.first_seconds,
            cost_usd=_cost(answer.usage),
            not_settable=left_out,
        )

    def _without_text(self, answer: _Answer) -> CallFailed:
        if answer.refusal:
            refused = f"refused to answer: {answer.refusal}"
            return self._failures.failed("content-filtered", refused, billed=True)
        if (answer.finish_reason or "").lower() in _FILTERED:
            return self._failures.failed("content-filtered", "kept its answer back", billed=True)
        return self._failures.failed("malformed-answer", "sent an empty answer", billed=True)


@dataclass(slots=True)
class _Answer:
    """What has been said so far. Reads with care: the provider may send anything."""

    failures: Failures
    begun: bool = False
    pieces: list[str] = field(default_factory=list)
    refusal: str = ""
    model: str = ""
    response_id: str = ""
    finish_reason: str | None = None
    usage: object = None
    simulated: bool = False
    first_seconds: float | None = None

    def take(self, chunk: object, part: str) -> str:
        """Add what a chunk (``part``: delta) or an answer (message) says; the text in it.

        Raises CallFailed for a failure that it tells, Malformed for what has no sense.
        """
        if not isinstance(chunk, dict):
            raise Malformed("JSON that is no object")
        self.begun = True
        choice = self._choice(chunk)
        self.model = text(chunk.get("model")) or self.model
        self.response_id = text(chunk.get("id")) or self.response_id
        self.usage = chunk.get("usage") or self.usage
        self.simulated = self.simulated or chunk.get(SIMULATED) is True
        self.finish_reason = text(member(choice, "finish_reason")) or self.finish_reason
        self.refusal += text(member(choice, part, "refusal")) or ""
        said = _content(choice, part)
        if said:
            self.pieces.append(said)
        return said

    def _choice(self, chunk: dict[str, object]) -> object:
        choices = chunk.get("choices")
        choice = first(choices)
        error = chunk.get("error") or member(choice, "error")
        if error or member(choice, "finish_reason") == "error":
            raise self.failures.told(error or {"message": "finish_reason error"})
        if not isinstance(choices, list | None):
            raise Malformed("choices that are no list")
        return choice


def _content(choice: object, part: str) -> str:
    if choice is None:
        return ""
    content = member(choice, part, "content")
    if not isinstance(choice, dict) or not isinstance(content, str | None):
        raise Malformed("a choice without a text")
    return content or ""


def _tokens(usage: object) -> Tokens | None:
    asked, answered = (
        count(member(usage, "prompt_tokens")),
        count(member(usage, "completion_tokens")),
    )
    if asked is None or answered is None:
        return None
    cached = count(member(usage, "prompt_tokens_details", "cached_tokens"))
    reasoning = count(member(usage, "completion_tokens_details", "reasoning_tokens"))
    return Tokens(asked, answered, part_of(asked, cached), part_of(answered, reasoning))


def _cost(usage: object) -> Decimal | None:
    """What the call cost by the provider's word.

    With a key of one's own behind OpenRouter, ``cost`` is its fee alone and the rest stands aside.
    """
    cost = usd(member(usage, "cost"))
    if cost is None or member(usage, "is_byok") is not True:
        return cost
    upstream = usd(member(usage, "cost_details", "upstream_inference_cost"))
    return None if upstream is None else cost + upstream


def _parameters(call: Call) -> Iterator[tuple[str, object]]:
    if call.seed is not None:
        yield "seed", call.seed
    if call.temperature is not None:
        yield "temperature", call.temperature
    if call.max_output_tokens is not None:
        yield "max_output_tokens", call.max_output_tokens
    if call.schema is not None:
        yield "response_schema", _response_format(call.schema)


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    shape = {"name": "answer", "schema": schema, "strict": takes_strict(schema)}
    return {"type": "json_schema", "json_schema": shape}


def takes_strict(schema: object) -> bool:
    """Whether strict structured output takes the schema as it is.

    It wants an object at the root, every property of every object required, no others allowed,
    and no keyword but its own. A schema is never bent to that: the answer must satisfy it as it
    was asked. Otherwise the provider does what it can, and the answer is checked as ever.
    """
    return member(schema, "type") == "object" and _strict(schema)


def _strict(schema: object) -> bool:
    if not isinstance(schema, dict) or not schema.keys() <= _STRICT_KEYWORDS:
        return False
    properties = schema.get("properties", {})
    if not isinstance(properties, dict) or not _closed(schema, properties):
        return False
    items, options, shared = schema.get("items"), schema.get("anyOf", []), schema.get("$defs", {})
    if not isinstance(options, list) or not isinstance(shared, dict):
        return False
    inner = [*properties.values(), *options, *shared.values(), *([] if items is None else [items])]
    return all(_strict(part) for part in inner)


def _closed(schema: dict[str, object], properties: dict[str, object]) -> bool:
    kind = schema.get("type")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        return "properties" not in schema
    required = schema.get("required", [])
    every = isinstance(required, list) and sorted(map(str, required)) == sorted(properties)
    return every and schema.get("additionalProperties") is False


def _message(turn: Turn) -> dict[str, Any]:
    if not turn.images:
        return {"role": turn.role, "content": turn.content}
    parts: list[dict[str, Any]] = [{"type": "text", "text": turn.content}] if turn.content else []
    parts += [{"type": "image_url", "image_url": {"url": image}} for image in turn.images]
    return {"role": turn.role, "content": parts}
