"""The API's description, put right where the framework cannot know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from gateway.middleware import PROBLEM
from gateway.schemas.facts import ConversationIn, EngagementIn

_SCHEMA = "#/components/schemas/Problem"
_READ_BY_ROUTES = (ConversationIn, EngagementIn)
"""Bodies that come in more than one form, of which the framework knows none."""


def describe(app: FastAPI) -> None:
    """Let the document say that errors are ``application/problem+json``, and name all bodies."""
    framework = app.openapi

    def document() -> dict[str, Any]:
        made = framework()
        made["components"]["schemas"].update(_bodies())
        for response in _responses(made):
            kinds = response.get("content", {}).values()
            if any(kind.get("schema", {}).get("$ref") == _SCHEMA for kind in kinds):
                response["content"] = {PROBLEM: {"schema": {"$ref": _SCHEMA}}}
        return made

    app.openapi = document  # type: ignore[method-assign]  # the framework's documented way


def _bodies() -> dict[str, Any]:
    _, found = models_json_schema(
        [(model, "validation") for model in _READ_BY_ROUTES],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = found["$defs"]
    return schemas


def _responses(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        for operation in path.values():
            yield from operation["responses"].values()
