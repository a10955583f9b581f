"""What a dashboard is made of, before it becomes Grafana's JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

WINDOW = "$__rate_interval"
"""Grafana's: wide enough for the panel and the scrape interval."""

Unit = Literal["s", "percentunit", "short", "reqps", "cps", "currencyUSD", "bytes", "bool", "none"]


@dataclass(frozen=True)
class Chart:
    """A panel: PromQL by the legend of its series, and the runbook for when it looks wrong."""

    title: str
    description: str
    runbook: str
    queries: Mapping[str, str]
    unit: Unit = "short"
    number: bool = False
    width: int = 12
    limit: float | None = None

    def __post_init__(self) -> None:
        if not (self.description and self.runbook and self.queries):
            raise ValueError(f"panel {self.title!r} lacks a description, a runbook or a query")


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    charts: Sequence[Chart]


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: the values of a label, several or all at once."""

    name: str
    query: str


@dataclass(frozen=True)
class Board:
    """One dashboard; ``uid`` is in its address and in its file's name."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()

    @property
    def charts(self) -> list[Chart]:
        """All panels."""
        return [chart for row in self.rows for chart in row.charts]
