"""Composing an answer: text, JSON or a tool call, cut at its limit, filtered or left empty."""

from __future__ import annotations

from typing import NamedTuple

from devkit.simulator.answers import draw
from devkit.simulator.config import SimulatorConfig
from devkit.simulator.drawing import Question
from devkit.simulator.entropy import rng
from devkit.simulator.faults import FaultKind
from devkit.simulator.structured import json_answer
from devkit.simulator.tokens import truncate
from devkit.simulator.tools import Tool, ToolCall
from devkit.simulator.wire.dialect import Ask, End


class Content(NamedTuple):
    """What the model says, and why it stops."""

    text: str
    call: ToolCall | None
    end: End


def compose(config: SimulatorConfig, ask: Ask, question: Question, fault: FaultKind) -> Content:
    """The content of an answer: a pure function. Raises ``SchemaError``."""
    if fault is FaultKind.FILTERED:
        return Content("", None, End.FILTERED)
    if fault is FaultKind.EMPTY:
        return Content("", None, End.STOP)
    answer, breaking = draw(config, question), fault is FaultKind.BREAK_SCHEMA
    if tool := _called(config, ask, question):
        arguments = json_answer(config, question, answer, tool.schema, breaking)
        kept, cut = truncate(arguments, ask.max_tokens)
        return Content("", ToolCall(tool.name, kept), End.LENGTH if cut else End.TOOL)
    text = answer.text
    if ask.shape:
        text = json_answer(config, question, answer, ask.shape.schema, breaking)
    kept, cut = truncate(text, ask.max_tokens)
    return Content(kept, None, End.LENGTH if cut else End.STOP)


def _called(config: SimulatorConfig, ask: Ask, question: Question) -> Tool | None:
    if ask.tools is None:
        return None
    answered = any(message.role == "tool" for message in ask.messages)
    luck = rng(str(config.seed), "tool", question.prompt_key, question.sample)
    return ask.tools.chosen(answered, luck.random(), config.settings_of(ask.model).tool_rate)
