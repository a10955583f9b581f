"""``docs/events.md``: the events for somebody who reads about them for the first time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from contracts.events.base import Event
from contracts.headers import HEADERS
from contracts.json_schema import Json, payload_schema
from contracts.topics import TOPICS, Topic, dlq_name

_INTRODUCTION = """\
# Events

This page is generated from `contracts/src/contracts` by `python -m contracts.generate`; edit the
models there, not this page.

Between the services of Limelight there are only Kafka topics. Each topic carries one kind of
event, which is a pydantic model in `contracts.events`. The same models are committed as JSON
Schemas (`contracts/schemas`) and as an AsyncAPI document (`contracts/asyncapi.json`), and
`contracts/examples` tells one run through all topics.
"""
_TOPICS = """\
## Topics

The key names the field whose value is the record key: records with equal keys stay in order, and
nothing else does. Where ids that tenants give are compacted the key is `<tenant>/<id>`. A consumer
group has the name of its service. Records older than the retention are deleted; a compacted topic
keeps the last record per key for ever. Who *follows* a topic reads all of it into memory, in every
process and without a group.
"""
_ENVELOPE = """\
## Headers of every record

Records are CloudEvents 1.0 in binary mode: the attributes travel as Kafka headers in UTF-8, the
body is the bare JSON of the event. Any CloudEvents SDK can write and read them.

Topics that are open to producers outside also take records without any `ce_*` header, and refuse
those of tenants that do not exist: [producing events](producing-events.md) shows how to write to
them.
"""
_DEAD_LETTERS = """\
## Dead letters

What a group cannot process goes to a topic of its own, `<topic>.<group>.dlq`, with the raw key,
body and headers it came with and headers `dlq-*` that say why. The offset is committed only after
that write is acknowledged.
"""
_RULES = """\
## Naming and change

- A topic is named `<domain>.<past-participle>.v<major>`: lower case, hyphens inside a word, dots
  between the three parts, no underscores.
- The key is the id of the entity whose state consumers overwrite, never the id of a run
  that it is part of: one run must spread over all partitions.
- Ids are UUIDv7 where something begins. An event that another event causes has a UUIDv5 of its
  type, subject, cause and index, so that handling the cause again emits the same id.
- Readers ignore fields they do not know.
- Within a major version a model only gains optional fields. Everything else is a break: removing
  or renaming a field, a new required field, another type or limit, a default that changes, and a
  value added to or removed from a closed list of values (old readers refuse what they do not
  know). A break is a new topic with the next major version, written beside the old one until
  nobody reads that any more.
- Tests hold every release in `contracts/released` against the models of today, in both
  directions.
"""
_FORMATS = {"uuid": "UUID", "date-time": "time (RFC 3339)"}
_NUMERIC = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def events_page() -> str:
    """The whole page."""
    schemas = [(topic, payload_schema(topic)) for topic in TOPICS]
    blocks = [
        _INTRODUCTION,
        _TOPICS,
        _topic_table(),
        _ENVELOPE,
        _header_table(),
        "## Bodies\n",
        *(_event_section(topic, schema) for topic, schema in schemas),
        "## Parts\n\nPieces that events are made of.\n",
        *_part_sections([schema for _, schema in schemas]),
        _DEAD_LETTERS,
        _dead_letter_table(),
        _RULES,
    ]
    return "\n".join(blocks)


def _topic_table() -> str:
    columns = ("topic", "purpose", "key", "partitions", "retention", "producers", "consumers")
    return _table(columns, (_topic_row(topic) for topic in TOPICS))


def _topic_row(topic: Topic[Event]) -> Sequence[str]:
    return (
        f"[{topic.name}](#{_anchor(topic.name)})",
        topic.purpose,
        _key(topic),
        str(topic.partitions),
        _retention(topic.retention),
        ", ".join(topic.producers),
        ", ".join((*topic.consumers, *(f"*{name}*" for name in topic.followers))),
    )


def _key(topic: Topic[Event]) -> str:
    return f"tenant, `{topic.key}`" if topic.tenant_in_key else f"`{topic.key}`"


def _header_table() -> str:
    rows = (
        (
            f"`{header.name}`",
            _yes(header.required),
            _header_description(header.description, header.const),
        )
        for header in HEADERS
    )
    return _table(("header", "required", "description"), rows)


def _header_description(description: str, const: str | None) -> str:
    return description if const is None else f"{description} Always `{const}`."


def _dead_letter_table() -> str:
    rows = (
        (topic.name, group, f"`{dlq_name(topic.name, group)}`")
        for topic in TOPICS
        for group in topic.consumers
    )
    return _table(("topic", "group", "dead letters"), rows)


def _event_section(topic: Topic[Event], schema: Json) -> str:
    return "\n".join(
        (
            f"### {topic.name}\n",
            f"`{topic.event.__name__}`, {_size(topic)}.{_openness(topic)}\n",
            schema["description"] + "\n",
            _field_table(schema),
        )
    )


def _size(topic: Topic[Event]) -> str:
    return f"at most {topic.max_record_bytes:,} bytes"


def _openness(topic: Topic[Event]) -> str:
    return " Open to producers outside." if topic.public else ""


def _part_sections(schemas: Iterable[Json]) -> Iterable[str]:
    parts: dict[str, Json] = {}
    for schema in schemas:
        for name, part in schema.get("$defs", {}).items():
            if parts.setdefault(name, part) != part:
                raise ValueError(f"two different parts are named {name}: rename one")
    for name in sorted(name for name, part in parts.items() if "properties" in part):
        description = parts[name].get("description", "")
        yield "\n".join((f"### {name}\n", description + "\n", _field_table(parts[name])))


def _field_table(schema: Json) -> str:
    required = schema.get("required", ())
    rows = (
        (f"`{name}`", type_name(field), _yes(name in required), _field_description(field))
        for name, field in schema["properties"].items()
    )
    return _table(("field", "type", "required", "description"), rows)


def _field_description(field: Json) -> str:
    description = str(field.get("description", ""))
    default = field.get("default")
    if default in (None, []):
        return description
    return f"{description} Default `{default}`.".strip()


def type_name(field: Json) -> str:
    """A field's type in words, with its limits."""
    if "anyOf" in field:
        return " or ".join(type_name(choice) for choice in field["anyOf"])
    if "$ref" in field:
        return _part_name(field["$ref"].rpartition("/")[2])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"always `{field['const']}`"
    if field.get("type") == "array":
        return f"list of {type_name(field['items'])}" + _limits(field)
    plain = _FORMATS.get(field.get("format", "")) or str(field.get("type", "anything"))
    return plain + _limits(field)


def _part_name(name: str) -> str:
    return "any JSON" if name == "JsonValue" else f"[{name}](#{_anchor(name)})"


def _limits(field: Json) -> str:
    limits = [f"{sign} {field[rule]}" for rule, sign in _NUMERIC.items() if rule in field]
    limits += _span(field, "minLength", "maxLength", "character")
    limits += _span(field, "minItems", "maxItems", "item")
    if "pattern" in field:
        limits.append(f"matches `{field['pattern']}`")
    return f" ({', '.join(limits)})" if limits else ""


def _span(field: Json, least: str, most: str, unit: str) -> list[str]:
    if least in field and most in field:
        return [f"{field[least]} to {_counted(field[most], unit)}"]
    if least in field:
        return [f"at least {_counted(field[least], unit)}"]
    return [f"at most {_counted(field[most], unit)}"] if most in field else []


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _retention(retention: timedelta | None) -> str:
    if retention is None:
        return "compacted"
    if retention % timedelta(days=1):
        return f"{retention / timedelta(hours=1):g} hours"
    return f"{retention.days} days"


def _anchor(heading: str) -> str:
    return heading.lower().replace(".", "").replace(" ", "-")


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
