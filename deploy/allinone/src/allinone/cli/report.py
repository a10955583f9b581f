"""Reports and runs in the terminal."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from allinone.cli.shell import out

Json = dict[str, Any]
SHOWN = (
    ("recommended", "recommended_rate"),
    ("denied", "denied_rate"),
    ("share of\nmentions", "share_of_voice_by_mentions"),
    ("share of\ncitations", "citation_share"),
)


def show(report: Json) -> None:
    """Print a report: for each surface who is named by which model, then all metrics."""
    surfaces = list(dict.fromkeys(group["surface"] for group in report["groups"]))
    for surface in surfaces:
        groups = [group for group in report["groups"] if group["surface"] == surface]
        out.print(_by_model(report, surface, groups))
        out.print(_metrics(report, groups[0]))
    if not surfaces:
        out.print("No answer is analysed yet.")
    out.print(_footer(report), markup=False)
    for failure in report["failures"]:
        kind, model = failure["kind"], failure["model"]
        out.print(f"  {failure['count']} x {model}: {kind}: {failure['example']}", markup=False)


def run_line(run: Json) -> str:
    """A run in one line."""
    progress = run["progress"]
    return (
        f"{run['run_id']}  {run['state']}  {progress['analyzed']} of {progress['expected']} "
        f"answers analysed  {run['name'] or run['kind']}"
    )


def percent(rate: Json) -> str:
    """A rate in per cent, its interval below."""
    if rate["value"] is None:
        return "-"
    if rate["low"] is None:
        return f"{100 * rate['value']:.0f}"
    return f"{100 * rate['value']:.0f}\n{100 * rate['low']:.0f} to {100 * rate['high']:.0f}"


def number(estimate: Json) -> str:
    """A mean, its interval below."""
    if estimate["value"] is None:
        return "-"
    if estimate["low"] is None:
        return f"{estimate['value']:.2f}"
    return f"{estimate['value']:.2f}\n{estimate['low']:.1f} to {estimate['high']:.1f}"


def _by_model(report: Json, surface: str, groups: list[Json]) -> Table:
    columns = [group for group in groups if group["tag"] is None]
    origin = "SIMULATED answers" if report["simulated"] else "real answers"
    title = f"Named, % of {origin} (95 % interval below), surface {surface}"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("Brand")
    for group in columns:
        name = "all models" if group["model"] is None else group["model"].split("/", 1)[-1]
        table.add_column(f"{name}\nn = {group['answers']}", justify="right")
    for at, brand in enumerate(report["brands"]):
        rates = [group["brands"][at]["metrics"]["visibility_rate"] for group in columns]
        table.add_row(_name(brand), *map(percent, rates))
    return table


def _metrics(report: Json, group: Json) -> Table:
    title = "All models together, % (95 % interval below)"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("Brand")
    for title, _ in SHOWN:
        table.add_column(title, justify="right")
    table.add_column("mean\nrank", justify="right")
    table.add_column("sentiment\n-1 to 1", justify="right")
    for brand, found in zip(report["brands"], group["brands"], strict=True):
        metrics = found["metrics"]
        table.add_row(
            _name(brand),
            *(percent(metrics[metric]) for _, metric in SHOWN),
            number(metrics["mean_rank"]),
            number(metrics["sentiment"]),
        )
    return table


def _name(brand: Json) -> str:
    return f"{brand['name']} (own)" if brand["own"] else str(brand["name"])


def _footer(report: Json) -> str:
    progress, analysis = report["progress"], report["analysis"]
    said = (
        f"Run {report['run_id']}: {report['state']}, {progress['analyzed']} of "
        f"{progress['expected']} answers analysed (revision {analysis['revision']}, "
        f"{', '.join(analysis['analyzer_versions']) or 'none yet'})"
    )
    if report["kind"] == "imported":
        return f"{said}."
    return (
        f"{said}, {progress['failed']} calls failed, {progress['not_run']} not made; "
        f"cost {_cost(report)}."
    )


def _cost(report: Json) -> str:
    cost = report["cost"]
    said = f"{cost['usd']} {'simulated ' if report['simulated'] else ''}USD"
    unpriced = cost["unpriced_calls"]
    return f"{said} and {unpriced} calls without a known price" if unpriced else said
