"""Typed reads from a parsed configuration document, with errors that say where in it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation


class ConfigError(ValueError):
    """The configuration cannot be used; the message starts with where in it."""


class Table:
    """A mapping at a path of the document: typed reads, and an error for keys nobody read."""

    def __init__(self, value: object, path: str) -> None:
        self.path = path
        self._read: set[str] = set()
        if not isinstance(value, dict):
            raise ConfigError(f"{path or 'document'}: expected a table, got {kind_of(value)}")
        self._values: dict[str, object] = value

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def names(self) -> list[str]:
        return list(self._values)

    def has(self, key: str) -> bool:
        return key in self._values

    def holds_table(self, key: str) -> bool:
        return isinstance(self._values.get(key), dict)

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str):
            raise ConfigError(f"{self.at(key)}: expected a string, got {kind_of(value)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{self.at(key)}: expected a list of strings")
        return tuple(value)

    def number(self, key: str, default: float | None = None) -> float:
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{self.at(key)}: expected a number, got {kind_of(value)}")
        return float(value)

    def integer(self, key: str, default: int) -> int:
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{self.at(key)}: expected a whole number, got {kind_of(value)}")
        return value

    def decimal(self, key: str) -> Decimal:
        value = self.text(key)
        try:
            return Decimal(value)
        except InvalidOperation:
            raise ConfigError(f"{self.at(key)}: expected a decimal number, got {value!r}") from None

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise ConfigError(f"{self.at(key)}: expected true or false, got {kind_of(value)}")
        return value

    def table(self, key: str) -> Table:
        return Table(self._take(key, {}), self.at(key))

    def rows(self, key: str) -> list[Table]:
        value = self._take(key, [])
        if not isinstance(value, list):
            raise ConfigError(f"{self.at(key)}: expected a list of tables, got {kind_of(value)}")
        return [Table(row, f"{self.at(key)}[{index}]") for index, row in enumerate(value)]

    def close(self) -> None:
        if unknown := sorted(set(self._values) - self._read):
            raise ConfigError(f"{self.at(unknown[0])}: unknown key")

    def _take(self, key: str, default: object = None) -> object:
        self._read.add(key)
        value = self._values.get(key, default)
        if value is None:
            raise ConfigError(f"{self.at(key)}: missing")
        return value


def kind_of(value: object) -> str:
    """How errors name the type of a value."""
    return "nothing" if value is None else type(value).__name__
