"""Anthropic's Messages through the real SDK.

Like the adapter beside it, it asks the SDK's ``post`` for the plain response: the SDK's models of
an answer cost more CPU than the call, and are not needed to read a text and its usage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
from anthropic import AsyncAnthropic, DefaultAioHttpClient, Omit, transform_schema

from llm_executor.adapters.failures import Failures, refused_parameter, said_in
from llm_executor.adapters.listing import next_page, read_catalog
from llm_executor.adapters.wire import (
    CONNECT_SECONDS,
    NO_KEY,
    SIMULATED,
    Access,
    Malformed,
    count,
    data_url,
    hand_on,
    member,
    parsed,
    part_of,
    text,
)
from llm_executor.domain.errors import CallFailed
from llm_executor.domain.models import Call, Catalog, ModelFacts, Reply, Tokens, Turn
from llm_executor.domain.ports import OnText

DEFAULT_MAX_TOKENS = 4096
"""``max_tokens`` of calls that set none: Anthropic wants one, and charges only what is used."""

_WIRE_NAMES = {"temperature": "temperature", "response_schema": "output_config"}
_FINISH_REASONS = {"end_turn": "stop", "max_tokens": "length"}
_REFUSAL = "refusal"
_PAGE_SIZE = 1000
_MOST_PAGES = 20
_USAGE = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def _nothing_known(_model: str) -> ModelFacts:
    return ModelFacts()


class AnthropicProvider:
    """One account at Anthropic. The SDK's own retries and spans are off: the executor has both.

    ``facts`` says what is known of a model. A parameter that a model refuses is left out of its
    calls from then on, as long as the process lives; ``seed`` is known to no model.
    """

    def __init__(self, access: Access, facts: Callable[[str], ModelFacts] = _nothing_known) -> None:
        self.simulated = access.simulated
        self._name = access.name
        self._facts = facts
        self._failures = Failures(access, anthropic.AnthropicError)
        self._refused: dict[str, frozenset[str]] = {}
        self._headers: dict[str, str | Omit] = {} if access.api_key else {"Authorization": Omit()}
        self._client = AsyncAnthropic(
            # The SDK's paths begin with the version that others write into the address.
            base_url=access.base_url.rstrip("/").removesuffix("/v1"),
            api_key=access.api_key or NO_KEY,
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            http_client=DefaultAioHttpClient(),
            open_telemetry=False,
        )

    async def complete(self, call: Call, timeout: float, on_text: OnText | None = None) -> Reply:
        """One attempt. A refusal of a parameter is free, and followed by a call without it."""
        async with self._failures.within(timeout):
            while True:
                body, left_out = self._body(call, stream=on_text is not None)
                try:
                    return await self._answered(body, left_out, on_text)
                except anthropic.APIStatusError as error:
                    self._leave_out_next_time(call.model, error, body)

    async def catalog(self, timeout: float) -> Catalog:
        """All pages of ``/v1/models``; Anthropic lists no prices."""
        async with self._failures.within(timeout, billed=False):
            pages = await self._pages()
            simulated = self.simulated or any(member(page, SIMULATED) is True for page in pages)
            return read_catalog(self._name, pages, simulated=simulated)

    async def close(self) -> None:
        """Close the SDK's connections."""
        await self._client.close()

    async def _pages(self) -> list[object]:
        pages: list[object] = []
        params: dict[str, object] = {"limit": _PAGE_SIZE}
        while len(pages) < _MOST_PAGES:
            response = await self._client.get(
                "/v1/models",
                cast_to=httpx2.Response,
                options={"params": params, "headers": self._headers},
            )
            pages.append(parsed(response.content))
            after = next_page(pages[-1])
            if after is None:
                break
            params = {"limit": _PAGE_SIZE, "after_id": after}
        return pages

    def _leave_out_next_time(
        self, model: str, error: anthropic.APIStatusError, body: Mapping[str, object]
    ) -> None:
        """Remember which parameter was refused, or raise the error if none was."""
        sent = [name for name in _WIRE_NAMES.values() if name in body]
        name = refused_parameter(said_in(error.response), sent)
        if name is None:
            raise error
        self._refused[model] = self._refused.get(model, frozenset()) | {name}

    def _body(self, call: Call, *, stream: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The body of the request, and the parameters of the call that are not in it."""
        facts = self._facts(call.model)
        most = min(facts.max_output_tokens or DEFAULT_MAX_TOKENS, DEFAULT_MAX_TOKENS)
        body: dict[str, Any] = {
            "model": call.model,
            "max_tokens": call.max_output_tokens or most,
            "messages": [_message(turn) for turn in call.turns if turn.role != "system"],
        }
        if system := "\n\n".join(t.content for t in call.turns if t.role == "system"):
            body["system"] = system
        if stream:
            body["stream"] = True
        left_out = [] if call.seed is None else ["seed"]
        refused = self._refused.get(call.model, frozenset())
        for name, value in _parameters(call).items():
            if name in facts.not_settable or _WIRE_NAMES[name] in refused:
                left_out.append(name)
            else:
                body[_WIRE_NAMES[name]] = value
        return body, tuple(left_out)

    async def _answered(
        self, body: dict[str, Any], left_out: tuple[str, ...], on_text: OnText | None
    ) -> Reply:
        answer = _Answer(self._failures)
        if on_text is None:
            response = await self._post(body, stream=False)
            answer.take_message(parsed(response.content))
        else:
            await self._read_stream(body, answer, on_text)
        return self._reply(answer, left_out)

    async def _post(self, body: dict[str, Any], *, stream: bool) -> httpx2.Response:
        response = await self._client.post(
            "/v1/messages", cast_to=httpx2.Response, body=body, stream=stream
        )
        assert isinstance(response, httpx2.Response)  # what cast_to asks for, streamed or not
        return response

    async def _read_stream(self, body: dict[str, Any], answer: _Answer, on_text: OnText) -> None:
        def add(data: bytes) -> str | None:
            event = parsed(data)
            said = answer.take_event(event)
            return None if member(event, "type") == "message_stop" else said

        answer.first_seconds = await hand_on(
            self._post(body, stream=True), add, lambda: answer.stop_reason is not None, on_text
        )
        if answer.stop_reason is None:
            raise self._failures.unfinished(answer.begun, "stop_reason")

    def _reply(self, answer: _Answer, left_out: tuple[str, ...]) -> Reply:
        joined = "".join(answer.pieces)
        if not joined and answer.stop_reason != "max_tokens":
            raise self._without_text(answer)
        reason = answer.stop_reason
        return Reply(
            text=joined,
            model=answer.model,
            response_id=answer.response_id,
            finish_reason=None if reason is None else _FINISH_REASONS.get(reason, reason),
            tokens=_tokens(answer.usage),
            simulated=self.simulated or answer.simulated,
            first_token_seconds=answer.first_seconds,
            not_settable=left_out,
        )

    def _without_text(self, answer: _Answer) -> CallFailed:
        if answer.stop_reason == _REFUSAL:
            why = f" ({answer.refusal})" if answer.refusal else ""
            return self._failures.failed("content-filtered", f"refused to answer{why}", billed=True)
        return self._failures.failed("malformed-answer", "sent an empty answer", billed=True)


@dataclass(slots=True)
class _Answer:
    """What has been said so far. Reads with care: the provider may send anything."""

    failures: Failures
    begun: bool = False
    pieces: list[str] = field(default_factory=list)
    model: str = ""
    response_id: str = ""
    stop_reason: str | None = None
    refusal: str | None = None
    usage: dict[str, object] = field(default_factory=dict)
    simulated: bool = False
    first_seconds: float | None = None

    def take_message(self, message: object) -> None:
        """Read a whole answer. Raises CallFailed for what it tells, Malformed."""
        self._check(message)
        blocks = member(message, "content")
        if not isinstance(blocks, list):
            raise Malformed("a message without content")
        for block in blocks:
            if member(block, "type") == "text":
                self._add(member(block, "text"))
        self._about(message)

    def take_event(self, event: object) -> str:
        """Read an event of a stream; the text in it. Raises CallFailed, Malformed."""
        self._check(event)
        kind = member(event, "type")
        if kind == "message_start":
            self._about(member(event, "message"))
        elif kind == "content_block_start":
            if member(event, "content_block", "type") == "text":
                return self._add(member(event, "content_block", "text"))
        elif kind == "content_block_delta":
            if member(event, "delta", "type") == "text_delta":
                return self._add(member(event, "delta", "text"))
        elif kind == "message_delta":
            self._ending(member(event, "delta"))
            self._count(member(event, "usage"))
        return ""

    def _check(self, value: object) -> None:
        if not isinstance(value, dict):
            raise Malformed("JSON that is no object")
        self.begun = True
        self.simulated = self.simulated or value.get(SIMULATED) is True
        if value.get("type") == "error" or value.get("error"):
            raise self.failures.told(value)

    def _add(self, said: object) -> str:
        if not isinstance(said, str):
            raise Malformed("a text that is none")
        if said:
            self.pieces.append(said)
        return said

    def _about(self, message: object) -> None:
        self.model = text(member(message, "model")) or self.model
        self.response_id = text(member(message, "id")) or self.response_id
        self._ending(message)
        self._count(member(message, "usage"))

    def _ending(self, delta: object) -> None:
        self.stop_reason = text(member(delta, "stop_reason")) or self.stop_reason
        self.refusal = text(member(delta, "stop_details", "explanation")) or self.refusal

    def _count(self, usage: object) -> None:
        """Counts of a stream are cumulative, and the later ones leave out what has not changed."""
        if isinstance(usage, dict):
            self.usage |= {name: value for name, value in usage.items() if value is not None}


def _tokens(usage: dict[str, object]) -> Tokens | None:
    """``input_tokens`` are those beside the cache, which is read and written apart from them."""
    fresh, read, written = (count(usage.get(name)) for name in _USAGE)
    answered = count(usage.get("output_tokens"))
    if fresh is None or answered is None:
        return None
    thought = count(member(usage, "output_tokens_details", "thinking_tokens"))
    asked = fresh + (read or 0) + (written or 0)
    return Tokens(asked, answered, read, part_of(answered, thought))


def _parameters(call: Call) -> dict[str, object]:
    asked: dict[str, object] = {}
    if call.temperature is not None:
        asked["temperature"] = call.temperature
    if call.schema is not None:
        asked["response_schema"] = {
            "format": {"type": "json_schema", "schema": _narrow(call.schema)}
        }
    return asked


def _narrow(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema in the part of JSON Schema that Anthropic takes; the rest becomes description.

    What satisfies the narrower one is checked against the asked one as ever.
    """
    try:
        return transform_schema(dict(schema))
    except (ValueError, TypeError, AttributeError, AssertionError, RecursionError):
        return schema  # let Anthropic say what it misses in it


def _message(turn: Turn) -> dict[str, Any]:
    if not turn.images:
        return {"role": turn.role, "content": turn.content}
    blocks: list[dict[str, Any]] = [{"type": "image", "source": _source(i)} for i in turn.images]
    blocks += [{"type": "text", "text": turn.content}] if turn.content else []
    return {"role": turn.role, "content": blocks}


def _source(image: str) -> dict[str, str]:
    inline = data_url(image)
    if inline is None:
        return {"type": "url", "url": image}
    return {"type": "base64", "media_type": inline[0], "data": inline[1]}
