"""What the simulated models believe about brands: declared, checked and frozen.

How an answer is drawn from it is in ``drawing.py``. Standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

DEFAULT_TAG = "default"
CITED_PATHS = ("/", "/features", "/pricing", "/help")
_TOLERANCE = 1e-9


class GroundTruthError(ValueError):
    """The declared truth contradicts itself or holds a number that is no probability."""


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand by the name answers use and the domain they cite (``example.org``, no scheme)."""

    name: str
    domain: str

    def __post_init__(self) -> None:
        _check_label("brand name", self.name)
        if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", self.domain):
            raise GroundTruthError(f"domain {self.domain!r} is not a lower-case host name")


@dataclass(frozen=True, slots=True)
class PromptTag:
    """A kind of prompt, recognised by any of its keywords as a whole word, in any case."""

    name: str
    keywords: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_label("tag name", self.name)
        if self.name == DEFAULT_TAG:
            raise GroundTruthError(f"tag {DEFAULT_TAG!r} is for prompts no other tag matches")
        if not self.keywords or not all(word.strip() for word in self.keywords):
            raise GroundTruthError(f"tag {self.name!r} needs keywords, none of them empty")


@dataclass(frozen=True, slots=True)
class BrandOdds:
    """How one model treats one brand. Everything but ``named`` is conditional on being named.

    ``named`` maps a tag to the probability of being named, and must hold ``default``;
    ``weight`` (> 0, no unit) is the Plackett-Luce weight of the rank order.
    """

    named: Mapping[str, float]
    weight: float = 1.0
    positive: float = 0.0
    neutral: float = 1.0
    negative: float = 0.0
    recommended: float = 0.0
    denied: float = 0.0
    cited: float = 0.0

    def __post_init__(self) -> None:
        if DEFAULT_TAG not in self.named:
            raise GroundTruthError(f"named needs a probability for tag {DEFAULT_TAG!r}")
        for tag, value in self.named.items():
            _check_probability(f"named.{tag}", value)
        for field in ("positive", "neutral", "negative", "recommended", "denied", "cited"):
            _check_probability(field, getattr(self, field))
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise GroundTruthError(f"weight must be finite and above 0, got {self.weight}")
        self._check_tone()

    def _check_tone(self) -> None:
        total = self.positive + self.neutral + self.negative
        if abs(total - 1) > _TOLERANCE:
            raise GroundTruthError(f"positive + neutral + negative must be 1, got {total:g}")
        if self.recommended > self.positive + _TOLERANCE:
            raise GroundTruthError(f"recommended {self.recommended} exceeds {self.positive=}")
        if self.denied > self.negative + _TOLERANCE:
            raise GroundTruthError(f"denied {self.denied} exceeds {self.negative=}")

    def probability(self, tag: str) -> float:
        """The probability of being named in an answer to a prompt of this tag."""
        return self.named.get(tag, self.named[DEFAULT_TAG])


@dataclass(frozen=True, slots=True)
class ModelTruth:
    """One simulated model; a brand absent from ``odds`` (by name) is never named."""

    id: str
    odds: Mapping[str, BrandOdds]
    repeat_correlation: float = 0.0

    def __post_init__(self) -> None:
        _check_label("model id", self.id)
        _check_probability("repeat_correlation", self.repeat_correlation)


@dataclass(frozen=True)
class GroundTruth:
    """All brands, tags (first match wins) and models. Raises ``GroundTruthError`` when built."""

    brands: tuple[Brand, ...]
    models: tuple[ModelTruth, ...]
    tags: tuple[PromptTag, ...] = ()

    def __post_init__(self) -> None:
        _check_unique("brand name", [brand.name.casefold() for brand in self.brands])
        _check_unique("model id", [model.id for model in self.models])
        _check_unique("tag name", [tag.name for tag in self.tags])
        _check_distinguishable(self.brands)
        for model in self.models:
            self._check_references(model)

    def _check_references(self, model: ModelTruth) -> None:
        tags = {DEFAULT_TAG} | {tag.name for tag in self.tags}
        brands = {brand.name for brand in self.brands}
        for name, odds in model.odds.items():
            if name not in brands:
                raise GroundTruthError(f"model {model.id!r} has odds for no brand {name!r}")
            if unknown := set(odds.named) - tags:
                raise GroundTruthError(
                    f"model {model.id!r}, brand {name!r}: no tag is called {sorted(unknown)}"
                )

    @cached_property
    def model_by_id(self) -> dict[str, ModelTruth]:
        """The models by the id a request names them with."""
        return {model.id: model for model in self.models}

    def tag_of(self, prompt: str) -> str:
        """The first declared tag with a keyword in the prompt, else ``default``."""
        for tag in self.tags:
            if _keyword_pattern(tag.keywords).search(prompt):
                return tag.name
        return DEFAULT_TAG


def contains_word(text: str, phrase: str) -> bool:
    """Whether ``phrase`` occurs in ``text`` as whole words, in any case."""
    return _word_pattern(phrase).search(text) is not None


@lru_cache(maxsize=1024)
def _word_pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def _keyword_pattern(keywords: tuple[str, ...]) -> re.Pattern[str]:
    union = "|".join(re.escape(word) for word in keywords)
    return re.compile(rf"(?<!\w)(?:{union})(?!\w)", re.IGNORECASE)


def _check_label(what: str, value: str) -> None:
    if not value or value != value.strip() or not value.isprintable():
        raise GroundTruthError(f"{what} {value!r} must be printable text without outer spaces")


def _check_probability(what: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise GroundTruthError(f"{what} must be within [0, 1], got {value}")


def _check_unique(what: str, values: list[str]) -> None:
    if repeated := sorted({value for value in values if values.count(value) > 1}):
        raise GroundTruthError(f"{what} declared more than once: {', '.join(repeated)}")


def _check_distinguishable(brands: tuple[Brand, ...]) -> None:
    """A name inside another name would be said whenever the longer one is: no truth to compare."""
    for one in brands:
        for other in brands:
            if one is not other and contains_word(_all_text(other), one.name):
                raise GroundTruthError(
                    f"brand {one.name!r} is part of the name or the URLs of brand {other.name!r}"
                )


def _all_text(brand: Brand) -> str:
    return "\n".join((brand.name, *(f"https://{brand.domain}{path}" for path in CITED_PATHS)))
