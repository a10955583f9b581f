"""Typed reads from a request body, refusing with an error that says where."""

from __future__ import annotations

import json
from typing import Any

from devkit.simulator.entropy import digest
from devkit.simulator.wire.errors import ApiError, bad_request

Body = dict[str, Any]


def read_object(raw: bytes) -> Body:
    """The body as a JSON object. Raises ``ApiError`` 400."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise bad_request("We could not parse the JSON body of your request.", None)
    return body


def given(body: Body) -> tuple[str, ...]:
    """The parameters a request sets, those set to ``null`` left out."""
    return tuple(name for name, value in body.items() if value is not None)


def required(body: Body, name: str) -> Any:
    """A parameter that must be there. Raises ``ApiError`` 400."""
    value = body.get(name)
    if value is None:
        message = f"Missing required parameter: '{name}'."
        raise bad_request(message, name, "missing_required_parameter")
    return value


def flag(body: Body, name: str) -> bool:
    """A boolean, ``False`` when absent."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong_type(name, "a boolean")


def integer(body: Body, name: str, least: int | None = None) -> int | None:
    """A whole number, ``None`` when absent."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, "an integer")
    if least is not None and value < least:
        message = f"Invalid '{name}': integer below minimum value. Expected a value >= {least}."
        raise bad_request(message, name, "integer_below_min_value")
    return value


def string(value: object, at: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise wrong_type(at, "a string")
    return value


def mapping(value: object, at: str) -> Body:
    """An object."""
    if not isinstance(value, dict):
        raise wrong_type(at, "an object")
    return value


def rows(value: object, at: str) -> list[tuple[str, Body]]:
    """A list of objects, each with where it is."""
    if not isinstance(value, list):
        raise wrong_type(at, "an array of objects")
    return [(f"{at}[{index}]", mapping(row, f"{at}[{index}]")) for index, row in enumerate(value)]


def filled(value: object, at: str) -> list[tuple[str, Body]]:
    """A list of at least one object, each with where it is."""
    found = rows(value, at)
    if not found:
        message = f"Invalid '{at}': empty array. Expected an array with minimum length 1."
        raise bad_request(message, at, "empty_array")
    return found


def one_of(value: object, allowed: frozenset[str], at: str) -> str:
    """One of a few strings."""
    if not isinstance(value, str) or value not in allowed:
        expected = ", ".join(sorted(allowed))
        raise bad_request(f"Invalid value for '{at}': expected one of {expected}.", at)
    return value


def image_key(address: str) -> str:
    """What stands for a picture: a digest, because a picture in the request can be large."""
    return f"{digest(address):032x}"


def wrong_type(at: str, expected: str) -> ApiError:
    """400: a value of another type is needed."""
    return bad_request(f"Invalid type for '{at}': expected {expected}.", at, "invalid_type")


def unsupported(param: str) -> ApiError:
    """400: the simulator cannot do this; answering as if it could would be a silent lie."""
    message = f"Unsupported parameter: '{param}' is not supported by the simulator."
    return bad_request(message, param, "unsupported_parameter")


def invalid_value(at: str, expected: str) -> ApiError:
    """400: the value is none of those that can be answered."""
    return bad_request(f"Invalid value for '{at}': {expected}.", at, "invalid_value")
