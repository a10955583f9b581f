"""The page for newcomers names everything there is."""

from __future__ import annotations

import re

import pytest
from contracts.headers import HEADERS
from contracts.json_schema import payload_schema
from contracts.markdown import events_page, type_name
from contracts.topics import TOPICS, dlq_name

PAGE = events_page()


@pytest.mark.parametrize(
    "words",
    [header.name for header in HEADERS]
    + [topic.name for topic in TOPICS]
    + [topic.purpose for topic in TOPICS]
    + [dlq_name(topic.name, group) for topic in TOPICS for group in topic.consumers]
    + [field for topic in TOPICS for field in topic.event.model_fields],
)
def test_page_names(words: str) -> None:
    assert words in PAGE


def test_links_lead_to_headings_of_the_page() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links
    assert links <= anchors


def test_every_part_has_one_section() -> None:
    parts = {
        name
        for topic in TOPICS
        for name, part in payload_schema(topic).get("$defs", {}).items()
        if "properties" in part
    }
    assert [PAGE.count(f"### {part}\n") for part in parts] == [1] * len(parts)


def test_rows_of_a_table_have_as_many_cells_as_its_head() -> None:
    for block in re.findall(r"(?:^\|.*\|\n)+", PAGE, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "format": "uuid"}, "UUID"),
        ({"type": "string", "format": "date-time"}, "time (RFC 3339)"),
        ({"type": "integer", "minimum": 0, "exclusiveMaximum": 9}, "integer (≥ 0, < 9)"),
        ({"type": "string", "minLength": 1, "maxLength": 9}, "string (1 to 9 characters)"),
        ({"type": "string", "maxLength": 9}, "string (at most 9 characters)"),
        ({"type": "string", "pattern": "^a$"}, "string (matches `^a$`)"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        ({"enum": ["a", "b"], "type": "string"}, "`a`, `b`"),
        ({"const": "a", "type": "string"}, "always `a`"),
        ({"$ref": "#/$defs/Part"}, "[Part](#part)"),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "list of string (at least 1 item)",
        ),
        ({}, "anything"),
    ],
)
def test_type_in_words(schema: dict[str, object], words: str) -> None:
    assert type_name(schema) == words
