"""Drawing one answer, as structured truth, from the declared ground truth.

The model of an answer, for a question asked of model ``m`` with prompt ``i``, sample ``j``:

- **Inclusion.** Brand ``b`` with declared probability ``p`` (by prompt tag) is named when a
  uniform is below ``p``. With probability ``q = sqrt(rho)``, drawn anew for each sample and
  brand, that uniform is the one shared by all samples of the prompt, ``U[m,i,b]``; otherwise
  it is the sample's own, ``V[m,i,j,b]``. Each alone is uniform, so the marginal rate is ``p``.
  Two samples of a prompt share the uniform with probability ``q * q = rho`` and are independent
  otherwise, so ``Cov = rho * p + (1 - rho) * p**2 - p**2 = rho * p * (1 - p)``: the correlation
  between repeats is ``rho``, whatever ``p`` is. (Mixing with probability ``rho`` itself would
  give ``rho**2``.)
- **Order.** Named brands are ordered by an exponential race, ``-ln(u) / weight`` ascending, which
  is the Plackett-Luce model: a brand comes first with probability ``weight / sum of weights``.
- **Tone.** One uniform ``t`` decides sentiment and outcome together: negative if
  ``t < negative``, positive if ``t >= 1 - positive``; denied if ``t < denied``, recommended if
  ``t >= 1 - recommended``. Both marginals are exact, and because ``denied <= negative`` and
  ``recommended <= positive`` are enforced, no answer denies in a positive tone.
- **Citation.** With probability ``cited`` a named brand comes with a URL on its domain.

Tone, order and citation are independent between samples; only inclusion carries ``rho``.
Each declared brand always consumes the same number of draws, so changing one brand's numbers
never changes what is drawn for another. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from devkit.simulator.entropy import digest, rng
from devkit.simulator.ground_truth import (
    CITED_PATHS,
    DEFAULT_TAG,
    Brand,
    BrandOdds,
    GroundTruth,
    ModelTruth,
)

_NEVER = BrandOdds(named={DEFAULT_TAG: 0.0})


class Sentiment(StrEnum):
    """The tone in which a brand is named."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class Outcome(StrEnum):
    """What the answer advises about a named brand."""

    RECOMMENDED = "recommended"
    DENIED = "denied"
    MENTIONED = "mentioned"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, reduced to what makes it different from another.

    ``images`` stands for its pictures, one digest or address each; ``calls`` for the tools the
    model called in it.
    """

    role: str
    text: str
    images: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One sample of one prompt: equal questions have equal answers.

    ``sample`` tells repeats apart, e.g. ``seed:7`` or ``call:0`` (see ``sample_name``);
    ``known_key`` spares a digest to whoever has computed ``prompt_key`` before.
    """

    model: str
    messages: tuple[Message, ...]
    sample: str
    known_key: str = field(default="", repr=False, compare=False)

    @property
    def prompt(self) -> str:
        """The user's words, in which the keywords of tags are looked for."""
        return "\n".join(m.text for m in self.messages if m.role == "user")

    @cached_property
    def prompt_key(self) -> str:
        """Digest of what all samples of a prompt share: the model and the full messages."""
        return self.known_key or prompt_key(self.model, self.messages)


@dataclass(frozen=True, slots=True)
class BrandDraw:
    """A brand in an answer; ``rank`` counts from 1 in order of appearance."""

    brand: Brand
    rank: int
    sentiment: Sentiment
    outcome: Outcome
    citation: str | None


@dataclass(frozen=True, slots=True)
class Draw:
    """The structured truth of one answer, brands in order of appearance."""

    model: str
    tag: str
    brands: tuple[BrandDraw, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the brands in order of appearance."""
        return tuple(drawn.brand.name for drawn in self.brands)


class _Luck(NamedTuple):
    """The uniforms of one brand in one answer: always as many, whatever its odds are.

    So brands stay independent of each other's numbers.
    """

    shared: float
    mix: float
    own: float
    race: float
    tone: float
    cite: float
    path: float


class _Named(NamedTuple):
    finish: float
    brand: Brand
    odds: BrandOdds
    luck: _Luck


def prompt_key(model: str, messages: Sequence[Message]) -> str:
    """32 hexadecimal digits that stand for a model and the full contents of a conversation."""
    texts = [model]
    for message in messages:
        texts += (message.role, message.text)
        if message.images or message.calls:  # no role starts like this: lists cannot be confused
            texts += [f"image:{image}" for image in message.images]
            texts += [f"call:{call}" for call in message.calls]
    return f"{digest(*texts):032x}"


def sample_name(seed: int | None, call: int) -> str:
    """A request's sample: its own ``seed`` if it has one, else how often it was asked before."""
    return f"call:{call}" if seed is None else f"seed:{seed}"


def draw_brands(truth: GroundTruth, seed: int, question: Question) -> Draw:
    """Draw one answer's truth; a pure function. Raises ``KeyError`` for an unknown model."""
    model = truth.model_by_id[question.model]
    tag = truth.tag_of(question.prompt)
    named = _named(truth.brands, model, tag, _luck(len(truth.brands), seed, question))
    named.sort(key=lambda one: one.finish)
    return Draw(model.id, tag, tuple(_brand_draw(one, at + 1) for at, one in enumerate(named)))


def _luck(brands: int, seed: int, question: Question) -> list[_Luck]:
    shared = rng(str(seed), "prompt", question.prompt_key).random
    own = rng(str(seed), "sample", question.prompt_key, question.sample).random
    return [_Luck(shared(), own(), own(), own(), own(), own(), own()) for _ in range(brands)]


def _named(
    brands: tuple[Brand, ...], model: ModelTruth, tag: str, luck: list[_Luck]
) -> list[_Named]:
    mixing = math.sqrt(model.repeat_correlation)
    named = []
    for brand, its in zip(brands, luck, strict=True):
        odds = model.odds.get(brand.name, _NEVER)
        uniform = its.shared if its.mix < mixing else its.own
        if uniform < odds.probability(tag):
            finish = -math.log(1.0 - its.race) / odds.weight  # 1 - race is never 0
            named.append(_Named(finish, brand, odds, its))
    return named


def _brand_draw(named: _Named, rank: int) -> BrandDraw:
    _, brand, odds, luck = named
    path = CITED_PATHS[int(luck.path * len(CITED_PATHS))]
    return BrandDraw(
        brand=brand,
        rank=rank,
        sentiment=_sentiment(odds, luck.tone),
        outcome=_outcome(odds, luck.tone),
        citation=f"https://{brand.domain}{path}" if luck.cite < odds.cited else None,
    )


def _sentiment(odds: BrandOdds, tone: float) -> Sentiment:
    if tone < odds.negative:
        return Sentiment.NEGATIVE
    return Sentiment.POSITIVE if tone >= 1.0 - odds.positive else Sentiment.NEUTRAL


def _outcome(odds: BrandOdds, tone: float) -> Outcome:
    if tone < odds.denied:
        return Outcome.DENIED
    return Outcome.RECOMMENDED if tone >= 1.0 - odds.recommended else Outcome.MENTIONED
