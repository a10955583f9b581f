"""Every expression of dashboards and rules: names that exist, and on a real Prometheus, values."""

from __future__ import annotations

import json
import math
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from contracts.telemetry import METRICS
from deploy.observability import burn_rates, dashboards, rules, slo
from deploy.observability.charts import WINDOW, Board, Chart
from devkit.limelight_process import LimelightProcess
from devkit.servers.local import ServerUnavailable
from tests.telemetry import some_load
from tests.telemetry.prometheus_process import PrometheusProcess

# They share one all-in-one, one Prometheus and a minute of waiting.
pytestmark = [pytest.mark.xdist_group("dashboards"), pytest.mark.timeout(400)]

OBJECTIVES = slo.load()
BOARDS = dashboards.boards(OBJECTIVES)
GROUPS = rules.groups(OBJECTIVES)
each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.uid))
EMPTY = {
    "Tried again": "no store fails",
    "Server errors": "no request fails",
    "Calls without a price": "the simulator tells its prices",
    "Outcome unknown": "nothing is killed",
    "Pieces of streams lost": "the log takes all of them",
    "Answers from the cache": "visibility runs are never answered from it",
}
"""Panels that show nothing after the load of this test, and why."""

LATE = {"ConsumerLagging", "ConsumerStuck", "EventLoopLagging", "RefreshBacklog"}
"""Alerts that a slow machine may cause; those of objectives about time are others."""

SERIES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
DECLARED = {
    metric.name + suffix: {*metric.labels, *({"le"} if suffix == "_bucket" else ())}
    for metric in METRICS
    for suffix in SERIES[metric.kind]
}
SETTLE_SECONDS = 30.0
WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"}
GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")


@dataclass(frozen=True)
class Watched:
    """A running all-in-one and the Prometheus that scrapes it."""

    limelight: LimelightProcess
    prometheus: PrometheusProcess


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """Both, after a load in two rounds: a rate needs something that grows while it is watched."""
    with tempfile.TemporaryDirectory(prefix="limelight-") as name:
        folder = Path(name)
        with LimelightProcess(folder / "data") as limelight:
            limelight.start().stop()
            some_load.bury_one(limelight.data_dir)
            limelight.start()
            prometheus = _prometheus(folder, limelight)
            with prometheus.server:
                some_load.make_campaigns(limelight)
                for seed in (1, 2):
                    some_load.ask_models(limelight)
                    some_load.talk(limelight, seed)
                    time.sleep(8)  # gauges of lag, queue and backlog are set every five seconds
                yield Watched(limelight, prometheus)


def _prometheus(folder: Path, limelight: LimelightProcess) -> PrometheusProcess:
    target = json.loads((limelight.data_dir / "control.json").read_text())["url"]
    try:
        return PrometheusProcess(
            folder / "prometheus", target.removeprefix("http://"), rules.RULES, "allinone"
        )
    except ServerUnavailable as error:
        pytest.skip(str(error))


def test_names_and_labels_are_declared() -> None:
    known = {*DECLARED, *rules.recorded(GROUPS), "up", "ALERTS"}
    unknown = {
        name
        for expression in _expressions()
        for name in metric_names(expression)
        if name not in known and not name.startswith("process_")
    }
    assert unknown == set()
    assert [wrong for expression in _expressions() for wrong in wrong_labels(expression)] == []


@each_board
def test_each_panel_has_values(watched: Watched, board: Board) -> None:
    expected = {chart.title for chart in board.charts} & EMPTY.keys()
    until = time.monotonic() + 60  # what comes last is there a little after the load
    while (empty := _empty(watched, board)).keys() - expected and time.monotonic() < until:
        time.sleep(1)
    assert {title: said for title, said in empty.items() if title not in expected} == {}
    assert expected - empty.keys() == set(), "they show something, so the reason is not true"


def _empty(watched: Watched, board: Board) -> dict[str, list[str]]:
    """Panels that show nothing now, with their queries."""
    return {chart.title: said for chart in board.charts if (said := _silent(watched, chart))}


def _silent(watched: Watched, chart: Chart) -> list[str]:
    """The queries of a panel that have no value now."""
    found = {
        text: [float(series["value"][1]) for series in watched.prometheus.query(at_hand(text))]
        for text in chart.queries.values()
    }
    return [text for text, values in found.items() if all(map(math.isnan, values))]


def test_each_rule_is_evaluated(watched: Watched) -> None:
    found = watched.prometheus.rules()
    assert len(found) == sum(len(group.rules) for group in GROUPS)
    assert [rule for rule in found if rule["health"] != "ok"] == []
    for alert in rules.alerts_of(GROUPS):
        watched.prometheus.query(alert.expression)


def test_each_objective_is_measured(watched: Watched) -> None:
    ratios = watched.prometheus.query("slo:error_ratio:rate3d")
    assert {series["metric"]["slo"] for series in ratios} == {item.name for item in OBJECTIVES.slos}


def test_only_the_dead_letter_is_told(watched: Watched) -> None:
    """Its share of the few records there are would burn a budget, too: one alone wakes nobody."""
    slow = {burn_rates.alert_name(item) for item in OBJECTIVES.slos if _of_time(item)} | LATE
    wanted = {("DeadLettersWaiting", "llm-executor")}
    until = time.monotonic() + SETTLE_SECONDS
    while (told := _told(watched, slow)) != wanted and time.monotonic() < until:
        time.sleep(0.5)  # here nothing waits before it tells: one slow scrape is told at once
    assert told == wanted


def _told(watched: Watched, slow: set[str]) -> set[tuple[str, str | None]]:
    firing = watched.prometheus.query('ALERTS{alertstate="firing"}')
    told = {(item["metric"]["alertname"], item["metric"].get("service")) for item in firing}
    return {item for item in told if item[0] not in slow}


def _of_time(item: slo.Slo) -> bool:
    return isinstance(item, slo.Latency | slo.Freshness)


def test_process_metrics_are_exported(watched: Watched) -> None:
    exported = watched.limelight.ops("/metrics")[1]
    for expression in _expressions():
        for name in metric_names(expression):
            assert not name.startswith("process_") or f"\n{name} " in exported


def test_each_reason_for_emptiness_is_of_a_panel() -> None:
    titles = [chart.title for board in BOARDS for chart in board.charts]
    assert {title for title in EMPTY if titles.count(title) != 1} == set()


@each_board
def test_what_grafana_reads_is_what_is_tested(board: Board) -> None:
    written = json.loads((dashboards.FOLDER / f"{board.uid}.json").read_text())
    panels = [panel for panel in written["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in panels] == [chart.title for chart in board.charts]
    for panel, chart in zip(panels, board.charts, strict=True):
        assert [target["expr"] for target in panel["targets"]] == list(chart.queries.values())
        assert panel["description"] == chart.description
        assert [link["url"] for link in panel["links"]] == [OBJECTIVES.runbook(chart.runbook)]
    ids = [panel["id"] for panel in written["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (service) (rate(a_total{b="c"}[5m])) > 2', {"a_total"}),
        ("a unless on (x) b offset 1h or vector(1)", {"a", "b"}),
        ("slo:a:rate5m / on (slo) group_left () (1 - c)", {"slo:a:rate5m", "c"}),
        ("histogram_quantile(0.99, sum by (le) (rate(a_bucket[$__rate_interval])))", {"a_bucket"}),
    ],
)
def test_names_are_found(expression: str, names: set[str]) -> None:
    assert metric_names(expression) == names


def metric_names(expression: str) -> set[str]:
    """The metrics that an expression reads."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = GROUPING.sub("", re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare))
    found = re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)(?!\w)(?!\s*\()", bare)
    durations = set(re.findall(r"\boffset\s+(\w+)", bare))
    return set(found) - WORDS - durations


def wrong_labels(expression: str) -> list[str]:
    """Selectors that ask for a label that the metric does not have."""
    found = []
    for name, matchers in SELECTOR.findall(expression):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', "", matchers)))
        if name in DECLARED and labels - DECLARED[name]:
            found.append(f"{name}: {sorted(labels - DECLARED[name])}")
    return found


def at_hand(expression: str) -> str:
    """An expression as Grafana would send it."""
    return expression.replace(WINDOW, "10m").replace("$service", ".*")


def _expressions() -> Iterator[str]:
    for group in GROUPS:
        yield from (rule.expression for rule in group.rules)
    for board in BOARDS:
        for chart in board.charts:
            yield from chart.queries.values()
