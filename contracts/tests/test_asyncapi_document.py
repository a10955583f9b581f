"""The AsyncAPI document holds together and says what ``topics`` says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contracts.asyncapi import asyncapi_document
from contracts.examples import Example, examples
from contracts.json_schema import Json, payload_schema
from contracts.paths import CONTRACTS, contracts_version
from contracts.topics import TOPICS
from jsonschema import Draft202012Validator

DOCUMENT = asyncapi_document("1.2.3")


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_every_reference_leads_somewhere(reference: str) -> None:
    if reference.startswith("#/"):
        assert resolve(reference)
    else:
        assert Path(CONTRACTS, reference).is_file()


def test_operations_are_the_producers_and_consumers() -> None:
    found = {
        (operation["tags"][0]["name"], operation["action"], operation["channel"]["$ref"])
        for operation in DOCUMENT["operations"].values()
    }
    sends = {
        (who, "send", f"#/channels/{topic.name}") for topic in TOPICS for who in topic.producers
    }
    receives = {
        (who, "receive", f"#/channels/{topic.name}")
        for topic in TOPICS
        for who in (*topic.consumers, *topic.followers)
    }
    assert found == sends | receives


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_channel_says_how_the_topic_is_made(topic: Any) -> None:
    binding = DOCUMENT["channels"][topic.name]["bindings"]["kafka"]
    configuration = binding["topicConfiguration"]
    assert binding["partitions"] == topic.partitions
    assert configuration["cleanup.policy"] == (["delete"] if topic.retention else ["compact"])
    assert configuration.get("retention.ms", 0) == (
        topic.retention.total_seconds() * 1000 if topic.retention else 0
    )


def headers_schema(example: Example) -> Json:
    channel = DOCUMENT["channels"][example.topic]
    [message] = [resolve(part["$ref"]) for part in channel["messages"].values()]
    common, own = message["headers"]["allOf"]
    return {"allOf": [resolve(common["$ref"]), own]}


@pytest.mark.parametrize("example", examples(), ids=str)
def test_header_schema_accepts_the_examples(example: Example) -> None:
    headers = {name: value.decode() for name, value in example.headers}
    validator = Draft202012Validator(headers_schema(example))
    assert validator.is_valid(headers)
    assert not validator.is_valid({**headers, "ce_type": "answer.forgotten.v1"})
    assert not validator.is_valid({**headers, "ce_tenantid": ""})


def test_every_schema_is_valid_and_identified() -> None:
    schemas = [payload_schema(topic) for topic in TOPICS]
    for schema in schemas:
        Draft202012Validator.check_schema(schema)
    assert len({schema["$id"] for schema in schemas}) == len(TOPICS)


def test_version_is_that_of_the_package() -> None:
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert contracts_version().count(".") == 2
