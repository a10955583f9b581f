"""Tools a model may call, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ToolMode(StrEnum):
    """What a request says about calling tools."""

    NONE = "none"
    AUTO = "auto"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Tool:
    """A function by name, with the JSON schema of its arguments."""

    name: str
    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model makes; ``arguments`` is the text of a JSON object."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools that may be called, narrowed to those the request's choice allows.

    ``text`` is how the request declares all of them: it counts as prompt tokens.
    """

    tools: tuple[Tool, ...]
    mode: ToolMode
    text: str

    @property
    def choice(self) -> str:
        """The mode and the tools it is about, to tell requests apart."""
        return " ".join((self.mode, *(tool.name for tool in self.tools)))

    def chosen(self, answered: bool, uniform: float, rate: float) -> Tool | None:
        """The tool that is called, if any: always the first of those allowed.

        A required call is always made. Left to the model, it is made with probability ``rate``
        (``uniform`` is drawn from [0, 1)), but not once a tool has ``answered``.
        """
        if self.mode is ToolMode.NONE or not self.tools:
            return None
        if self.mode is ToolMode.REQUIRED:
            return self.tools[0]
        return self.tools[0] if not answered and uniform < rate else None
