"""The simulator's configuration, and reading it from TOML or JSON with errors that say where."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from devkit.simulator.faults import FaultError, FaultRates
from devkit.simulator.ground_truth import (
    DEFAULT_TAG,
    Brand,
    BrandOdds,
    GroundTruth,
    GroundTruthError,
    ModelTruth,
    PromptTag,
)
from devkit.simulator.rendering import names_in_filler

T = TypeVar("T")

_ODDS_NUMBERS = ("weight", "recommended", "denied", "cited")
_TONES = ("positive", "neutral", "negative")


class ConfigError(ValueError):
    """The configuration cannot be used; the message starts with where in it."""


@dataclass(frozen=True)
class SimulatorConfig:
    """All that decides the simulator's behaviour. Raises ``ConfigError`` when built.

    ``stream_words`` is the number of words in one content delta of a stream.
    """

    truth: GroundTruth
    seed: int = 0
    faults: FaultRates = field(default_factory=FaultRates)
    stream_words: int = 4

    def __post_init__(self) -> None:
        if self.stream_words < 1:
            raise ConfigError(f"stream_words: must be at least 1, got {self.stream_words}")
        if clash := names_in_filler(brand.name for brand in self.truth.brands):
            raise ConfigError(f"brands: the answers' own wording contains {', '.join(clash)}")


def default_config() -> SimulatorConfig:
    """Three simulated models that disagree about six note-taking brands (``default.toml``)."""
    text = files("devkit.simulator").joinpath("default.toml").read_text(encoding="utf-8")
    return parse_config(tomllib.loads(text))


def load_config(path: Path) -> SimulatorConfig:
    """Read a ``.toml`` or ``.json`` file. Raises ``ConfigError`` for its content, ``OSError``."""
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".json":
            return parse_config(json.loads(text))
        if path.suffix == ".toml":
            return parse_config(tomllib.loads(text))
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    raise ConfigError(f"{path}: expected a .toml or .json file")


def parse_config(document: object) -> SimulatorConfig:
    """Build the configuration from parsed TOML or JSON. Raises ``ConfigError``."""
    table = _Table(document, "")
    truth = _truth(table)
    seed, stream_words = table.integer("seed", 0), table.integer("stream_words", 4)
    faults = _faults(table.table("faults"))
    table.close()
    return SimulatorConfig(truth=truth, seed=seed, faults=faults, stream_words=stream_words)


def _truth(table: _Table) -> GroundTruth:
    brands = tuple(_brand(row) for row in table.rows("brands"))
    tags = tuple(_tag(row) for row in table.rows("tags"))
    models = tuple(_model(row) for row in table.rows("models"))
    if not models:
        raise ConfigError("models: at least one model is needed")
    return _built("ground truth", GroundTruth, brands=brands, models=models, tags=tags)


def _brand(row: _Table) -> Brand:
    values = {"name": row.text("name"), "domain": row.text("domain")}
    row.close()
    return _built(row.path, Brand, **values)


def _tag(row: _Table) -> PromptTag:
    name, keywords = row.text("name"), row.texts("keywords")
    row.close()
    return _built(row.path, PromptTag, name=name, keywords=keywords)


def _model(row: _Table) -> ModelTruth:
    odds_by_brand = row.table("brands")
    odds = {name: _odds(odds_by_brand.table(name)) for name in odds_by_brand.names()}
    identifier, rho = row.text("id"), row.number("repeat_correlation", 0.0)
    row.close()
    return _built(row.path, ModelTruth, id=identifier, odds=odds, repeat_correlation=rho)


def _odds(table: _Table) -> BrandOdds:
    values: dict[str, Any] = {"named": _named(table)}
    values |= {key: table.number(key) for key in _ODDS_NUMBERS if table.has(key)}
    if table.has("sentiment"):
        tones = table.table("sentiment")
        values |= {tone: tones.number(tone) for tone in _TONES}
        tones.close()
    table.close()
    return _built(table.path, BrandOdds, **values)


def _named(table: _Table) -> Mapping[str, float]:
    """``named`` is one probability, or a table of them by tag."""
    if not table.holds_table("named"):
        return {DEFAULT_TAG: table.number("named")}
    by_tag = table.table("named")
    return {tag: by_tag.number(tag) for tag in by_tag.names()}


def _faults(table: _Table) -> FaultRates:
    known = [f.name for f in fields(FaultRates)]
    values = {name: table.number(name) for name in known if table.has(name)}
    table.close()
    return _built("faults", FaultRates, **values)


def _built(path: str, kind: type[T], **values: Any) -> T:
    try:
        return kind(**values)
    except (GroundTruthError, FaultError) as error:
        raise ConfigError(f"{path}: {error}") from error


class _Table:
    """A mapping at a path of the document: typed reads, and an error for keys nobody read."""

    def __init__(self, value: object, path: str) -> None:
        self.path = path
        self._read: set[str] = set()
        if not isinstance(value, dict):
            raise ConfigError(f"{path or 'document'}: expected a table, got {_kind(value)}")
        self._values: dict[str, object] = value

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def names(self) -> list[str]:
        return list(self._values)

    def has(self, key: str) -> bool:
        return key in self._values

    def holds_table(self, key: str) -> bool:
        return isinstance(self._values.get(key), dict)

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str):
            raise ConfigError(f"{self.at(key)}: expected a string, got {_kind(value)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{self.at(key)}: expected a list of strings")
        return tuple(value)

    def number(self, key: str, default: float | None = None) -> float:
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{self.at(key)}: expected a number, got {_kind(value)}")
        return float(value)

    def integer(self, key: str, default: int) -> int:
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{self.at(key)}: expected a whole number, got {_kind(value)}")
        return value

    def table(self, key: str) -> _Table:
        return _Table(self._take(key, {}), self.at(key))

    def rows(self, key: str) -> list[_Table]:
        value = self._take(key, [])
        if not isinstance(value, list):
            raise ConfigError(f"{self.at(key)}: expected a list of tables, got {_kind(value)}")
        return [_Table(row, f"{self.at(key)}[{index}]") for index, row in enumerate(value)]

    def close(self) -> None:
        if unknown := sorted(set(self._values) - self._read):
            raise ConfigError(f"{self.at(unknown[0])}: unknown key")

    def _take(self, key: str, default: object = None) -> object:
        self._read.add(key)
        value = self._values.get(key, default)
        if value is None:
            raise ConfigError(f"{self.at(key)}: missing")
        return value


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
