"""One simulated answer: its text beside the truth it was rendered from."""

from __future__ import annotations

from dataclasses import dataclass

from devkit.simulator.config import SimulatorConfig
from devkit.simulator.drawing import BrandDraw, Draw, Question, draw_brands
from devkit.simulator.entropy import rng
from devkit.simulator.rendering import render


@dataclass(frozen=True, slots=True)
class Answer:
    """The markdown a caller receives, and what it says in structured form."""

    text: str
    truth: Draw

    @property
    def brands(self) -> tuple[BrandDraw, ...]:
        """The brands named in the text, in order of appearance."""
        return self.truth.brands


def draw(config: SimulatorConfig, question: Question) -> Answer:
    """The answer to a question: a pure function of ``config.seed``, its truth and the question.

    The server answers with exactly this text (cut at ``max_tokens``, if the request has one);
    its ``x-limelight-sample`` response header is ``question.sample``. Raises ``KeyError`` for
    a model the configuration does not know.
    """
    truth = draw_brands(config.truth, config.seed, question)
    words = rng(str(config.seed), "words", question.prompt_key, question.sample)
    return Answer(text=render(truth, words), truth=truth)
