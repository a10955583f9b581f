"""Structured answers and tool arguments: JSON that says what was drawn."""

from __future__ import annotations

from collections.abc import Mapping

from devkit.simulator.answers import Answer
from devkit.simulator.config import SimulatorConfig
from devkit.simulator.drawing import BrandDraw, Question
from devkit.simulator.entropy import rng
from devkit.simulator.schemas import Facts, broken, generate
from devkit.simulator.wire.encoding import encode

_ANY_OBJECT: Mapping[str, object] = {
    "type": "object",
    "properties": {
        "answer": {"type": "string"},
        "brands": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["answer", "brands"],
}


def json_answer(
    config: SimulatorConfig,
    question: Question,
    answer: Answer,
    schema: Mapping[str, object] | None,
    breaking: bool = False,
) -> str:
    """JSON text that satisfies ``schema`` (without one, an object of answer and brands).

    A pure function, like ``draw``: of the configuration, the question with its drawn answer,
    and the schema. ``breaking`` makes it violate the schema. Raises ``SchemaError``.
    """
    wanted = _ANY_OBJECT if schema is None else schema
    luck = rng(str(config.seed), "json", question.prompt_key, question.sample)
    value = generate(wanted, luck, facts_of(answer))
    return broken(wanted, value) if breaking else encode(value).decode()


def facts_of(answer: Answer) -> Facts:
    """The drawn brands and the text, by the names properties commonly have."""
    values = {"answer": answer.text, "text": answer.text}
    return Facts(values, [_row(drawn) for drawn in answer.brands])


def _row(drawn: BrandDraw) -> dict[str, object]:
    return {
        "name": drawn.brand.name,
        "brand": drawn.brand.name,
        "brand_name": drawn.brand.name,
        "rank": drawn.rank,
        "position": drawn.rank,
        "sentiment": str(drawn.sentiment),
        "recommended": drawn.outcome == "recommended",
        "domain": drawn.brand.domain,
        "citation": drawn.citation,
    }
