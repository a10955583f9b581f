"""Holds answers against a JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from llm_executor.domain.errors import CallFailed
from llm_executor.domain.ports import Complaint

_ERRORS = 5
_SAID_CHARS = 300


def complaint_by(schema: Mapping[str, Any]) -> Complaint:
    """A function that says what is wrong with a text, None if nothing is.

    Raises:
        CallFailed: bad-request, the schema is none. Nothing it refers to is ever fetched, and
            patterns run in linear time, for a schema comes from outside.
    """
    try:
        validator = jsonschema_rs.validator_for(
            dict(schema), offline=True, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        said = str(error).partition("\n")[0][:_SAID_CHARS]
        raise CallFailed("bad-request", f"response_schema is no JSON Schema: {said}") from error

    def complaint(text: str) -> str | None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return "the answer is not JSON"
        return _said(validator, value)

    return complaint


def _said(validator: jsonschema_rs.Validator, value: Any) -> str | None:
    problems = []
    for error in validator.iter_errors(value):
        path = "/".join(map(str, error.instance_path)) or "the whole answer"
        problems.append(f"{path}: {error.message[:_SAID_CHARS]}")
        if len(problems) == _ERRORS:
            break
    return "; ".join(problems) or None
