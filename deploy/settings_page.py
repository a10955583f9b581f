"""Writes docs/settings.md from the settings: ``python -m deploy.settings_page [--check]``.

``--check`` writes nothing and fails when the committed page is not what the code says.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

from allinone.services import SERVICES
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from runtime.settings import ServiceSettings, variable

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

_HEAD = """# Settings

<!-- Written by python -m deploy.settings_page from the services' settings.py: edit those. -->

A service is told everything by its environment. A variable that is empty counts as not set. What is
missing or cannot work is named when the service starts, which then ends. The all-in-one sets all of
this by itself.
"""
_COMMON = """## Every service

[Running the services apart](running-distributed.md#secured-connections) says how they go together.
"""
_OWN = "In [`services/{name}`](../services/{name}/README.md), beside those of every service."


def page() -> str:
    """The page, ending in one newline."""
    common = ServiceSettings.model_fields
    parts = [_HEAD, _COMMON, _table(common.items())]
    for spec in sorted(SERVICES, key=lambda spec: spec.name):
        fields = spec.settings.model_fields.items()
        own = [(name, field) for name, field in fields if name not in common]
        parts += [f"## {spec.name}\n", f"{_OWN.format(name=spec.name)}\n", _table(own)]
    return "\n".join(parts)


def _table(fields: Iterable[tuple[str, FieldInfo]]) -> str:
    lines = ["| variable | default | secret | what for |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{variable(name)}` | {_default(field)} | {_secrecy(field)} | {_purpose(field)} |"
        for name, field in fields
    ]
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    return f"`{_written(value)}`" if _plain(value) not in (None, "", ()) else "none"


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _written(value: Any) -> str:
    """As the environment would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _secrecy(field: FieldInfo) -> str:
    if field.annotation is SecretStr or SecretStr in get_args(field.annotation):
        return "yes"
    return "" if field.repr else "if it holds a password"


def _purpose(field: FieldInfo) -> str:
    assert field.description is not None, "a test sees to it"
    return field.description.replace("|", "\\|").replace("*", "\\*")


def main(arguments: Sequence[str], target: Path = PAGE) -> int:
    """Return 1 with ``--check`` if the page is not what the settings say."""
    text = page()
    if "--check" not in arguments:
        target.write_text(text, encoding="utf-8")
        return 0
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return 0
    print(f"{target.name} is out of date: run python -m deploy.settings_page", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
