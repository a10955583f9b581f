"""What all APIs have in common: a request and an answer without any wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, Protocol

from devkit.simulator.drawing import Message
from devkit.simulator.tools import ToolCall, ToolUse
from devkit.simulator.wire.errors import ApiError

Headers = Mapping[bytes, bytes]

CHARACTERS_PER_WORD = 6  # JSON is streamed by characters: it may hold no space at all


class End(StrEnum):
    """Why an answer ends."""

    STOP = "stop"
    LENGTH = "length"
    TOOL = "tool"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True)
class JsonShape:
    """The wish for a JSON answer: any object, or one that satisfies ``schema``.

    ``text`` is the schema as the request wrote it, to tell requests apart.
    """

    schema: Mapping[str, object] | None
    text: str


class Ask(NamedTuple):
    """What of a request matters here; sampling parameters are accepted and change nothing.

    ``given`` names the parameters the request sets; ``echo`` holds what the answer repeats.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    include_usage: bool = False
    seed: int | None = None
    max_tokens: int | None = None
    given: tuple[str, ...] = ()
    tools: ToolUse | None = None
    shape: JsonShape | None = None
    echo: Mapping[str, object] = MappingProxyType({})

    @property
    def has_images(self) -> bool:
        """Whether any message holds a picture."""
        return any(message.images for message in self.messages)

    def extras(self) -> list[str]:
        """What besides model, messages and seed tells two requests apart; mostly nothing."""
        tools = [self.tools.text, self.tools.choice] if self.tools else []
        return [*tools, self.shape.text] if self.shape else tools


class Reply(NamedTuple):
    """One finished answer. ``created`` is in Unix seconds, ``cost`` in USD.

    ``key`` is 32 hexadecimal digits, unique in a process. ``text`` and ``call`` are both empty
    in an answer that was filtered or is empty on purpose.
    """

    key: str
    created: int
    model: str
    fingerprint: str
    text: str
    call: ToolCall | None
    end: End
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal | None = None

    @property
    def blank(self) -> bool:
        """Whether there is neither text nor a tool call."""
        return not self.text and self.call is None


class Events(NamedTuple):
    """The server-sent events of one answer; without ``closing`` it looks unfinished."""

    content: list[bytes]
    closing: list[bytes]

    @property
    def middle(self) -> int:
        """How many events come before a failure: half of them, but one at least."""
        return max(1, (len(self.content) + len(self.closing)) // 2)


class Dialect(Protocol):
    """One API: how it is asked, how it answers and how it complains."""

    @property
    def name(self) -> str:
        """Keeps the attempts of one API apart from those of another; empty for the oldest."""
        ...

    def authenticate(self, headers: Headers) -> None:
        """Raises ``ApiError`` for a request without a key or another header it must have."""
        ...

    def parse(self, raw: bytes) -> Ask:
        """Read a request body. Raises ``ApiError`` 400 for what cannot be answered."""
        ...

    def body(self, reply: Reply, ask: Ask) -> bytes:
        """The JSON body of an answer that is not streamed."""
        ...

    def events(self, reply: Reply, ask: Ask, words: int) -> Events:
        """The events of a streamed answer, ``words`` words in a delta."""
        ...

    def broken_off(self, reply: Reply, ask: Ask, sent: int) -> bytes:
        """The event that reports a failure after ``sent`` events of a stream."""
        ...

    def error_body(self, error: ApiError, request_id: str) -> bytes:
        """The JSON body of a refusal or failure."""
        ...

    def headers(self, request_id: str) -> Mapping[str, str]:
        """Headers of every answer of this API."""
        ...

    def model_not_found(self, model: str) -> ApiError:
        """404: the configuration declares no such model."""
        ...

    def not_settable(self, parameter: str, model: str) -> ApiError:
        """400: this model's parameter cannot be set."""
        ...

    def no_images(self, model: str) -> ApiError:
        """400: this model reads no images."""
        ...

    def prompt_too_long(self, tokens: int, limit: int) -> ApiError:
        """400: the prompt is longer than the model's context."""
        ...

    def limit_too_high(self, asked: int, limit: int, model: str) -> ApiError:
        """400: more output tokens are asked for than the model can ever give."""
        ...
