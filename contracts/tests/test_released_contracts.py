"""Today's contracts against every release, in both directions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contracts.compatibility import breaking_changes
from contracts.examples import Example, examples
from contracts.json_schema import Json, payload_schema
from contracts.paths import RELEASED
from contracts.topics import TOPICS, topic_named
from jsonschema import Draft202012Validator

RELEASES = sorted(path.name for path in RELEASED.iterdir() if path.is_dir())
SCHEMAS = [path for version in RELEASES for path in (RELEASED / version / "schemas").iterdir()]
TODAY = {topic.name: topic for topic in TOPICS}


def label(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.stem}"


def schema_in(path: Path) -> Json:
    schema: Json = json.loads(path.read_text(encoding="utf-8"))
    return schema


each_schema = pytest.mark.parametrize("path", SCHEMAS, ids=label)
each_release = pytest.mark.parametrize("version", RELEASES)


def problems(schema: Json, example: Example) -> list[str]:
    errors = Draft202012Validator(schema).iter_errors(example.body)
    return [f"{example}: {error.message}" for error in errors]


def test_there_is_a_release() -> None:
    assert SCHEMAS


@each_release
def test_released_topics_are_still_there(version: str) -> None:
    released = {path.stem for path in (RELEASED / version / "schemas").iterdir()}
    assert released <= TODAY.keys()


@each_schema
def test_no_breaking_change(path: Path) -> None:
    today = payload_schema(topic_named(path.stem))
    assert [str(change) for change in breaking_changes(schema_in(path), today)] == []


@each_release
def test_released_examples_are_accepted_today(version: str) -> None:
    released = examples(folder=RELEASED / version / "examples")
    assert released
    for example in released:
        topic = topic_named(example.topic)
        event = topic.event.model_validate_json(example.value)
        assert topic.key_of(event).encode() == example.key


@each_schema
def test_examples_of_today_are_accepted_by_the_release(path: Path) -> None:
    schema = schema_in(path)
    assert [problem for one in examples(path.stem) for problem in problems(schema, one)] == []


@each_schema
def test_old_readers_ignore_fields_they_do_not_know(path: Path) -> None:
    validator = Draft202012Validator(schema_in(path))
    for example in examples(path.stem):
        newer = {**example.body, "added_later": {"anything": 1}}
        assert validator.is_valid(newer)


@pytest.mark.parametrize("name", sorted(TODAY))
def test_readers_of_today_ignore_fields_they_do_not_know(name: str) -> None:
    model = TODAY[name].event
    for example in examples(name):
        newer = {**example.body, "added_later": {"anything": 1}}
        assert model.model_validate(newer) == model.model_validate(example.body)
