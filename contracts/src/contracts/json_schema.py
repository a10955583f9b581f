"""JSON Schema 2020-12 of every topic's body, from its pydantic model."""

from __future__ import annotations

import json
from typing import Any

from contracts.events.base import Event
from contracts.topics import Topic

Json = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def payload_schema(topic: Topic[Event]) -> Json:
    """The schema a body must satisfy to be read.

    Validation mode: it describes what readers accept, whoever wrote it in whatever language.
    ``x-key`` is the field the record is keyed by, here so that a release freezes it as well.
    """
    identity = {"$schema": DIALECT, "$id": f"urn:limelight:event:{topic.name}", "x-key": topic.key}
    return {**identity, **topic.event.model_json_schema(mode="validation")}


def as_text(document: Json) -> str:
    """JSON as it is committed: properties in their declared order, one trailing newline."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
