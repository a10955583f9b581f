"""The API's description, put right where the framework cannot know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from gateway.middleware import PROBLEM

_SCHEMA = "#/components/schemas/Problem"


def describe(app: FastAPI) -> None:
    """Let the document say that errors are ``application/problem+json``."""
    framework = app.openapi

    def document() -> dict[str, Any]:
        made = framework()
        for response in _responses(made):
            kinds = response.get("content", {}).values()
            if any(kind.get("schema", {}).get("$ref") == _SCHEMA for kind in kinds):
                response["content"] = {PROBLEM: {"schema": {"$ref": _SCHEMA}}}
        return made

    app.openapi = document  # type: ignore[method-assign]  # the framework's documented way


def _responses(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        for operation in path.values():
            yield from operation["responses"].values()
