"""Rules: generated from slo.yaml, valid, tried on invented series, each with its runbook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from contracts.telemetry import METRICS
from deploy.observability import __main__ as generator
from deploy.observability import burn_rates, dashboards, rules, slo
from deploy.observability.boards import marketing
from deploy.observability.rule_types import Alert, Recording
from tests.deploy.promtool import promtool
from tests.deploy.settings_of import SERVICES, known_variables

REPOSITORY = Path(__file__).resolve().parents[2]
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
CASES = Path(__file__).parent / "rules"
OBJECTIVES = slo.load()
GROUPS = rules.groups(OBJECTIVES)
ALERTS = rules.alerts_of(GROUPS)
NAMES = sorted({alert.name for alert in ALERTS})
CHARTS = [chart for board in dashboards.boards(OBJECTIVES) for chart in board.charts]
PANELS = {chart.title.split()[0] for chart in CHARTS}
"""The first word of each: a runbook names panels as *Tried again*."""
each_alert = pytest.mark.parametrize("name", NAMES)


def test_what_is_committed_is_what_the_sources_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().out


def test_the_check_finds_a_file_that_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = REPOSITORY / "deploy" / "observability" / "slo.yaml"
    monkeypatch.setattr(rules, "files", lambda _: {stale: "something else"})
    assert generator.main(["--check"]) == 1
    assert "deploy/observability/slo.yaml is out of date" in capsys.readouterr().out


def test_prometheus_takes_rules_and_configuration() -> None:
    promtool("check", "rules", rules.RULES.name, folder=rules.RULES.parent)
    promtool("check", "config", "prometheus.yml", folder=rules.RULES.parent)


@pytest.mark.parametrize("case", sorted(CASES.glob("*.yml")), ids=lambda path: str(path.stem))
def test_rules_on_invented_series(case: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", case.name, folder=CASES)


@each_alert
def test_each_alert_is_tried(name: str) -> None:
    """Those of SLOs are made alike, so that one of each kind of SLO is enough."""
    alike = {"ReportsLatencyBurn", "VisibilityFreshnessBurn"}
    tried = "".join(path.read_text() for path in CASES.glob("*.yml"))
    assert name in tried or name in alike


@each_alert
def test_each_alert_has_a_runbook(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == [
        "What it means",
        "What a user notices",
        "First look",
        "Likely causes",
        "What to do",
        "It is over when",
    ]


def test_runbooks_name_metrics_settings_and_alerts_that_exist() -> None:
    text = "".join(
        path.read_text() for path in (*RUNBOOKS.glob("*.md"), RUNBOOKS.parent / "slo.md")
    )
    metrics = set(re.findall(r"\blimelight_[a-z_]+", text))
    assert metrics - {metric.name for metric in METRICS} == set()
    known = {variable for service in SERVICES for variable in known_variables(service)}
    assert set(re.findall(r"\bLIMELIGHT_[A-Z_]+\b", text)) - known == set()
    assert set(re.findall(r"\*([A-Z]\w+)\*", text)) - {*NAMES, *PANELS, "Limelight"} == set()


def test_there_is_no_runbook_without_an_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == sorted([*NAMES, "README"])


def test_the_list_of_runbooks_is_complete() -> None:
    linked = re.findall(r"\]\((\w+)\.md\)", (RUNBOOKS / "README.md").read_text())
    assert sorted(linked) == NAMES


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert.name))
def test_each_alert_says_all_that_is_needed(alert: Alert) -> None:
    assert alert.severity in {"page", "ticket"}
    assert alert.summary
    assert alert.description.endswith(".")
    assert alert.runbook_url == f"{OBJECTIVES.runbooks}/{alert.name}.md"


def test_no_rule_looks_at_who_scrapes() -> None:
    """One process may hold many services, and one service run in many processes."""
    assert [text for text in _expressions() if re.search(r"\bjob\b", text)] == []


def test_what_every_target_has_is_asked_of_ours_only() -> None:
    """In a cluster each target has a label ``service``, and each process these metrics."""
    shown = [text for chart in CHARTS for text in chart.queries.values()]
    found = re.findall(r"\b(?:up|process_\w+)\b(?:{[^}]*})?", " ".join([*_expressions(), *shown]))
    assert len(found) > 2
    (wanted,) = {text.partition("{")[2] for text in found}
    names = re.fullmatch(r'service=~"([\w|-]+)"}', wanted)
    assert names is not None
    assert sorted(names[1].split("|")) == sorted([*SERVICES, "allinone"])


def test_alerts_of_others_are_not_shown() -> None:
    (chart,) = [chart for chart in CHARTS if chart.title == "Firing alerts"]
    names = re.search(r'alertname=~"([\w|]+)"', "".join(chart.queries.values()))
    assert names is not None
    assert names[1].split("|") == NAMES


def test_burn_rates_are_those_of_the_workbook() -> None:
    assert [(burn.factor, burn.long, burn.short) for burn in OBJECTIVES.burns] == [
        (14.4, "1h", "5m"),
        (6, "6h", "30m"),
        (1, "3d", "6h"),
    ]
    ratios = {burn_rates.error_ratio(window) for window in ["5m", "30m", "1h", "6h", "3d", "30d"]}
    assert ratios <= rules.recorded(GROUPS)


def test_every_service_has_an_objective() -> None:
    text = " ".join(_expressions())
    for name in SERVICES:
        assert f'service="{name}"' in text


def test_the_hops_to_a_recommendation_share_two_seconds() -> None:
    assert sum(hop.seconds for hop in marketing.hops(OBJECTIVES)) <= 2


def test_objectives_that_cannot_be_measured_are_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "slo.yaml"
    text = slo.FILE.read_text()
    for there, instead, complaint in (
        ("seconds: 0.05", "seconds: 0.07", "is no bucket"),
        ("objective: 0.9999", "objective: 1.0", "between 0 and 1"),
        ("service: recommender, topic", "service: gateway, topic", "does not consume"),
    ):
        assert there in text
        wrong.write_text(text.replace(there, instead))
        with pytest.raises(ValueError, match=complaint):
            slo.load(wrong)


def test_the_kubernetes_resource_has_the_same_rules() -> None:
    resource = yaml.safe_load(rules.RESOURCE.read_text())
    assert resource["kind"] == "PrometheusRule"
    assert resource["spec"] == yaml.safe_load(rules.RULES.read_text())


def _expressions() -> Iterator[str]:
    for group in GROUPS:
        for rule in group.rules:
            assert isinstance(rule, Alert | Recording)
            yield rule.expression
