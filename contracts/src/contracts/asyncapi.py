"""The AsyncAPI 3.0 document: which service sends and receives what, and how topics are made."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.events.base import Event
from contracts.headers import HEADERS, Header
from contracts.json_schema import DIALECT, Json
from contracts.topics import TOPICS, Topic, dlq_name

KAFKA_BINDING = "0.5.0"
SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
_INFO = (
    "Between the services of Limelight there are only these events. Records are CloudEvents 1.0 "
    "in binary mode: attributes are Kafka headers, the body is bare JSON."
)


def asyncapi_document(version: str) -> Json:
    """The whole document; ``version`` is that of the contracts."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Limelight events", "version": version, "description": _INFO},
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            name: operation for topic in TOPICS for name, operation in _operations(topic)
        },
        "components": {
            "messages": {topic.event.__name__: _message(topic) for topic in TOPICS},
            "schemas": {"CloudEventHeaders": _headers_schema()},
        },
    }


def _channel(topic: Topic[Event]) -> Json:
    message = topic.event.__name__
    return {
        "address": topic.name,
        "description": topic.purpose,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"kafka": _topic_binding(topic)},
        "x-dead-letters": [dlq_name(topic.name, group) for group in topic.consumers],
    }


def _topic_binding(topic: Topic[Event]) -> Json:
    configuration: Json = {"cleanup.policy": ["compact" if topic.retention is None else "delete"]}
    if topic.retention is not None:
        configuration["retention.ms"] = int(topic.retention.total_seconds() * 1000)
    configuration["max.message.bytes"] = topic.max_record_bytes
    return {
        "topic": topic.name,
        "partitions": topic.partitions,
        "topicConfiguration": configuration,
        "bindingVersion": KAFKA_BINDING,
    }


def _operations(topic: Topic[Event]) -> Iterator[tuple[str, Json]]:
    for service in topic.producers:
        yield f"{service}.send.{topic.name}", _operation(topic, service, "send")
    for service in topic.consumers:
        receive = _operation(topic, service, "receive")
        group = {"type": "string", "enum": [service]}
        receive["bindings"] = {"kafka": {"groupId": group, "bindingVersion": KAFKA_BINDING}}
        yield f"{service}.receive.{topic.name}", receive
    for service in topic.followers:
        yield f"{service}.follow.{topic.name}", _operation(topic, service, "receive")


def _operation(topic: Topic[Event], service: str, action: str) -> Json:
    channel = f"#/channels/{topic.name}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{topic.event.__name__}"}],
        "tags": [{"name": service}],
    }


def _message(topic: Topic[Event]) -> Json:
    key = topic.event.model_json_schema(mode="validation")["properties"][topic.key]
    return {
        "name": topic.name,
        "title": topic.event.__name__,
        "summary": topic.purpose,
        "headers": {
            "allOf": [
                {"$ref": "#/components/schemas/CloudEventHeaders"},
                {"type": "object", "properties": {"ce_type": {"const": topic.name}}},
            ]
        },
        "payload": {
            "schemaFormat": SCHEMA_FORMAT,
            "schema": {"$ref": f"./schemas/{topic.name}.json"},
        },
        "bindings": {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}},
    }


def _headers_schema() -> Json:
    return {
        "$schema": DIALECT,
        "type": "object",
        "required": [header.name for header in HEADERS if header.required],
        "properties": {header.name: _header_schema(header) for header in HEADERS},
    }


def _header_schema(header: Header) -> Json:
    schema: Json = {"type": "string", "description": header.description}
    if header.required:
        schema["minLength"] = 1
    rules = {"const": header.const, "format": header.format, "pattern": header.pattern}
    return schema | {name: rule for name, rule in rules.items() if rule is not None}
