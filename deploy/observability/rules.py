"""The rule files: one for Prometheus itself, the same as a resource for its Kubernetes operator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from deploy.observability import alerts, burn_rates
from deploy.observability.rule_types import Alert, Group, Recording
from deploy.observability.slo import Objectives

HERE = Path(__file__).parent
RULES = HERE / "prometheus" / "rules.yml"
RESOURCE = HERE.parents[1] / "k8s" / "base" / "monitoring" / "prometheus-rule.yaml"
HEADER = "# Written by python -m deploy.observability from slo.yaml and its Python modules.\n"


def groups(objectives: Objectives) -> list[Group]:
    """All rules, what is computed before what is told."""
    return [
        *burn_rates.recordings(objectives),
        burn_rates.alerts(objectives),
        *alerts.groups(objectives),
    ]


def recorded(every: Sequence[Group]) -> set[str]:
    """The names of the series that rules make."""
    return {rule.record for group in every for rule in group.rules if isinstance(rule, Recording)}


def alerts_of(every: Sequence[Group]) -> list[Alert]:
    """Only those that tell somebody."""
    return [rule for group in every for rule in group.rules if isinstance(rule, Alert)]


def files(objectives: Objectives) -> dict[Path, str]:
    """What the files have to say."""
    spec = {"groups": [group.plain() for group in groups(objectives)]}
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "limelight"},
        "spec": spec,
    }
    return {RULES: _written(spec), RESOURCE: _written(resource)}


class _Plain(yaml.SafeDumper):
    """Writes what is said twice twice, in place of an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _written(content: dict[str, Any]) -> str:
    return HEADER + yaml.dump(content, Dumper=_Plain, sort_keys=False, width=100)
