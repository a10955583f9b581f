"""Rules as Prometheus wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PAGE = "page"
TICKET = "ticket"


@dataclass(frozen=True)
class Recording:
    """A series that is computed and kept."""

    record: str
    expression: str
    labels: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As the rule file has it."""
        said: dict[str, Any] = {"record": self.record, "expr": self.expression}
        return said | ({"labels": self.labels} if self.labels else {})


@dataclass(frozen=True)
class Alert:
    """Something to tell somebody about: now (``page``) or in working hours (``ticket``)."""

    name: str
    expression: str
    lasting: str
    severity: str
    summary: str
    description: str
    runbook_url: str
    labels: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As the rule file has it."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasting,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": self.runbook_url,
            },
        }


Rule = Recording | Alert


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other."""

    name: str
    rules: Sequence[Rule]

    def plain(self) -> dict[str, Any]:
        """As the rule file has it."""
        return {"name": self.name, "rules": [rule.plain() for rule in self.rules]}
