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
from devkit.simulator.settings import ModelSettings, Prices, SettingsError
from devkit.simulator.tables import ConfigError, Table

T = TypeVar("T")

_ODDS_NUMBERS = ("weight", "recommended", "denied", "cited")
_MODEL_SIZES = (
    *("context_tokens", "max_output_tokens"),
    *("requests_per_minute", "max_concurrency"),
)
_PRICES = {
    "input": "input_usd_per_million",
    "output": "output_usd_per_million",
    "cached_input": "cached_input_usd_per_million",
}
_TONES = ("positive", "neutral", "negative")


@dataclass(frozen=True)
class SimulatorConfig:
    """All that decides the simulator's behaviour. Raises ``ConfigError`` when built.

    ``stream_words`` is the number of words in one content delta of a stream; ``comments`` has
    streams begin with a comment line, as OpenRouter's do; a body of more than
    ``max_request_bytes`` is refused. ``settings`` are by model id; a model may have none.
    """

    truth: GroundTruth
    seed: int = 0
    faults: FaultRates = field(default_factory=FaultRates)
    stream_words: int = 4
    comments: bool = False
    max_request_bytes: int = 32 * 1024 * 1024
    settings: Mapping[str, ModelSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.settings) - set(self.truth.model_by_id)):
            raise ConfigError(f"settings: no model is called {', '.join(unknown)}")
        for name in ("stream_words", "max_request_bytes"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name}: must be at least 1, got {value}")
        if clash := names_in_filler(brand.name for brand in self.truth.brands):
            raise ConfigError(f"brands: the answers' own wording contains {', '.join(clash)}")

    def settings_of(self, model: str) -> ModelSettings:
        """The settings of a model, the defaults if it has none of its own."""
        return self.settings.get(model, _DEFAULT_SETTINGS)


_DEFAULT_SETTINGS = ModelSettings()


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
    table = Table(document, "")
    rows = table.rows("models")
    settings = [_settings(row) for row in rows]
    truth = _truth(table, rows)
    values: dict[str, Any] = {
        "seed": table.integer("seed", 0),
        "stream_words": table.integer("stream_words", 4),
        "comments": table.flag("comments", False),
        "faults": _faults(table.table("faults")),
    }
    if table.has("max_request_bytes"):
        values["max_request_bytes"] = table.integer("max_request_bytes", 0)
    table.close()
    by_model = dict(zip(truth.model_by_id, settings, strict=True))
    return SimulatorConfig(truth=truth, settings=by_model, **values)


def _truth(table: Table, rows: list[Table]) -> GroundTruth:
    brands = tuple(_brand(row) for row in table.rows("brands"))
    tags = tuple(_tag(row) for row in table.rows("tags"))
    models = tuple(_model(row) for row in rows)
    if not models:
        raise ConfigError("models: at least one model is needed")
    return _built("ground truth", GroundTruth, brands=brands, models=models, tags=tags)


def _settings(row: Table) -> ModelSettings:
    values: dict[str, Any] = {"prices": _prices(row)}
    values |= {key: row.integer(key, 0) for key in _MODEL_SIZES if row.has(key)}
    values |= {key: row.texts(key) for key in ("modalities", "not_settable") if row.has(key)}
    if row.has("tool_rate"):
        values["tool_rate"] = row.number("tool_rate")
    if row.has("faults"):
        values["faults"] = _faults(row.table("faults"))
    return _built(row.path, ModelSettings, **values)


def _prices(row: Table) -> Prices | None:
    if not any(row.has(key) for key in _PRICES.values()):
        return None
    needed = {name: row.decimal(key) for name, key in _PRICES.items() if name != "cached_input"}
    cached = _PRICES["cached_input"]
    prices = {**needed, "cached_input": row.decimal(cached) if row.has(cached) else None}
    return _built(row.path, Prices, **prices)


def _brand(row: Table) -> Brand:
    values = {"name": row.text("name"), "domain": row.text("domain")}
    row.close()
    return _built(row.path, Brand, **values)


def _tag(row: Table) -> PromptTag:
    name, keywords = row.text("name"), row.texts("keywords")
    row.close()
    return _built(row.path, PromptTag, name=name, keywords=keywords)


def _model(row: Table) -> ModelTruth:
    odds_by_brand = row.table("brands")
    odds = {name: _odds(odds_by_brand.table(name)) for name in odds_by_brand.names()}
    identifier, rho = row.text("id"), row.number("repeat_correlation", 0.0)
    row.close()
    return _built(row.path, ModelTruth, id=identifier, odds=odds, repeat_correlation=rho)


def _odds(table: Table) -> BrandOdds:
    values: dict[str, Any] = {"named": _named(table)}
    values |= {key: table.number(key) for key in _ODDS_NUMBERS if table.has(key)}
    if table.has("sentiment"):
        tones = table.table("sentiment")
        values |= {tone: tones.number(tone) for tone in _TONES}
        tones.close()
    table.close()
    return _built(table.path, BrandOdds, **values)


def _named(table: Table) -> Mapping[str, float]:
    """``named`` is one probability, or a table of them by tag."""
    if not table.holds_table("named"):
        return {DEFAULT_TAG: table.number("named")}
    by_tag = table.table("named")
    return {tag: by_tag.number(tag) for tag in by_tag.names()}


def _faults(table: Table) -> FaultRates:
    known = [f.name for f in fields(FaultRates)]
    values = {name: table.number(name) for name in known if table.has(name)}
    table.close()
    return _built(table.path, FaultRates, **values)


def _built(path: str, kind: type[T], **values: Any) -> T:
    try:
        return kind(**values)
    except (GroundTruthError, FaultError, SettingsError) as error:
        raise ConfigError(f"{path}: {error}") from error
