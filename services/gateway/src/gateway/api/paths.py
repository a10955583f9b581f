"""Ids of tenants in paths: any text, which may hold slashes and ends of lines."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class _Given(Convertor[str]):
    # The framework's own kinds leave out what stands behind the end of a line.
    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def given(name: str) -> str:
    """The part of a path that is an id which a tenant gave, as parameter ``name``."""
    return f"{{{name}:given}}"


register_url_convertor("given", _Given())
