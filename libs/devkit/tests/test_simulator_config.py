"""Reading a configuration: what is understood, and where errors are said to be."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from devkit.simulator import (
    ConfigError,
    FaultRates,
    ModelSettings,
    Prices,
    load_config,
    parse_config,
)

TOML = """
seed = 7
stream_words = 2
comments = true
max_request_bytes = 4096
[faults]
status_429 = 0.25
retry_after_s = 2
[[brands]]
name = "Zqx"
domain = "zqx.example"
[[tags]]
name = "team"
keywords = ["wiki"]
[[models]]
id = "m"
repeat_correlation = 0.5
context_tokens = 1000
max_output_tokens = 100
input_usd_per_million = "1.25"
output_usd_per_million = "10"
cached_input_usd_per_million = "0.1"
modalities = ["text"]
not_settable = ["temperature"]
tool_rate = 0.25
requests_per_minute = 60
max_concurrency = 8
[models.faults]
status_529 = 0.5
chunk_delay_s = 0.01
[models.brands.Zqx]
named = { default = 0.5, team = 1 }
weight = 2
sentiment = { positive = 0.5, neutral = 0.25, negative = 0.25 }
recommended = 0.5
denied = 0.125
cited = 1.0
"""


def document() -> dict[str, Any]:
    return {
        "brands": [{"name": "Zqx", "domain": "zqx.example"}],
        "tags": [{"name": "team", "keywords": ["wiki"]}],
        "models": [{"id": "m", "brands": {"Zqx": {"named": 0.5}}}],
    }


def test_toml_sets_every_value(tmp_path: Path) -> None:
    path = tmp_path / "truth.toml"
    path.write_text(TOML)
    config = load_config(path)
    model = config.truth.models[0]
    odds = model.odds["Zqx"]
    assert (config.seed, config.stream_words) == (7, 2)
    assert config.faults == FaultRates(status_429=0.25, retry_after_s=2)
    assert (model.id, model.repeat_correlation) == ("m", 0.5)
    assert odds.named == {"default": 0.5, "team": 1.0}
    assert (odds.weight, odds.recommended, odds.denied, odds.cited) == (2, 0.5, 0.125, 1)
    assert (odds.positive, odds.neutral, odds.negative) == (0.5, 0.25, 0.25)
    assert config.truth.tags[0].keywords == ("wiki",)


def test_toml_sets_every_setting_of_a_model(tmp_path: Path) -> None:
    path = tmp_path / "truth.toml"
    path.write_text(TOML)
    config = load_config(path)
    assert (config.comments, config.max_request_bytes) == (True, 4096)
    assert config.settings_of("m") == ModelSettings(
        context_tokens=1000,
        max_output_tokens=100,
        prices=Prices(Decimal("1.25"), Decimal(10), Decimal("0.1")),
        modalities=("text",),
        not_settable=("temperature",),
        tool_rate=0.25,
        requests_per_minute=60,
        max_concurrency=8,
        faults=FaultRates(status_529=0.5, chunk_delay_s=0.01),
    )


def test_settings_have_defaults_and_belong_to_a_model() -> None:
    config = parse_config(document())
    assert config.settings_of("m") == ModelSettings()
    assert config.comments is False
    with pytest.raises(ConfigError, match="settings: no model is called other"):
        dataclasses.replace(config, settings={"other": ModelSettings()})


def test_json_and_defaults(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(document()))
    config = load_config(path)
    assert config.truth.models[0].odds["Zqx"].named == {"default": 0.5}
    assert config.truth.models[0].odds["Zqx"].neutral == 1.0
    assert (config.seed, config.faults.active) == (0, False)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["seed"], "x", "seed: expected a whole number, got str"),
        (["seed"], True, "seed: expected a whole number, got bool"),
        (["sead"], 1, "sead: unknown key"),
        (["stream_words"], 0, "stream_words: must be at least 1"),
        (["models"], [], "models: at least one model is needed"),
        (["models"], {}, "models: expected a list of tables, got dict"),
        (["models", 0], 3, r"models\[0\]: expected a table, got int"),
        (["models", 0, "id"], None, r"models\[0\].id: missing"),
        (["models", 0, "repeat_correlation"], 2, r"models\[0\]: repeat_correlation"),
        (["models", 0, "brands", "Zqx", "named"], 1.5, r"models\[0\].brands.Zqx: named.default"),
        (["models", 0, "brands", "Zqx", "named"], "x", r"Zqx.named: expected a number, got str"),
        (["models", 0, "brands", "Zqx", "named"], {"team": 1}, "brands.Zqx: named needs"),
        (["models", 0, "brands", "Zqx", "rank"], 1, r"models\[0\].brands.Zqx.rank: unknown key"),
        (
            ["models", 0, "brands", "Zqx", "sentiment"],
            {"positive": 1},
            "neutral: missing",
        ),
        (["models", 0, "brands", "Qqq"], {"named": 1}, "ground truth: .*no brand 'Qqq'"),
        (["brands", 0, "domain"], "x", r"brands\[0\]: domain 'x'"),
        (["tags", 0, "keywords"], ["a", 1], r"tags\[0\].keywords: expected a list of strings"),
        (["faults"], {"status_500": 0.9, "timeout": 0.2}, "faults: fault rates"),
        (["comments"], 1, "comments: expected true or false, got int"),
        (["max_request_bytes"], 0, "max_request_bytes: must be at least 1"),
        (["models", 0, "input_usd_per_million"], "1", "output_usd_per_million: missing"),
        (["models", 0, "context_tokens"], 0, r"models\[0\]: context_tokens must be at least 1"),
        (["models", 0, "tool_rate"], 2, r"models\[0\]: tool_rate"),
        (["models", 0, "modalities"], ["smell"], r"models\[0\]: modalities"),
        (["models", 0, "faults"], {"empty": 2}, r"models\[0\].faults: fault rates"),
        (["faults"], {"status_418": 0.9}, "faults.status_418: unknown key"),
    ],
)
def test_errors_say_where(keys: list[Any], value: object, message: str) -> None:
    changed: Any = document()
    target = changed
    for key in keys[:-1]:
        target = target[key]
    target[keys[-1]] = value
    with pytest.raises(ConfigError, match=message):
        parse_config(changed)


@pytest.mark.parametrize(
    ("price", "message"),
    [
        (1.5, "expected a string, got float"),
        ("cheap", "expected a decimal number, got 'cheap'"),
        ("-1", "a price must be finite and not negative"),
        ("NaN", "a price must be finite and not negative"),
    ],
)
def test_prices_are_decimal_strings(price: object, message: str) -> None:
    changed: Any = document()
    changed["models"][0] |= {"input_usd_per_million": price, "output_usd_per_million": "1"}
    with pytest.raises(ConfigError, match=message):
        parse_config(changed)


def test_a_document_must_be_a_table() -> None:
    with pytest.raises(ConfigError, match="document: expected a table, got list"):
        parse_config([])


@pytest.mark.parametrize(
    ("name", "text"), [("a.toml", "seed ="), ("a.json", "{"), ("a.yaml", "seed: 1")]
)
def test_unreadable_files_name_the_file(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=name):
        load_config(path)
