"""Turns boards into the JSON that Grafana reads, through Grafana's own types."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from string import ascii_uppercase

from deploy.observability.charts import Board, Chart, Row, Variable
from deploy.observability.slo import Objectives
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model

SOURCE = model.DataSourceRef(type_val="prometheus", uid="prometheus")
HEIGHT, HEIGHT_OF_NUMBERS = 8, 4
Panel = timeseries.Panel | stat.Panel


def dashboard_json(board: Board, objectives: Objectives) -> str:
    """The dashboard as text, always the same for the same board."""
    made = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["limelight"])
        .readonly()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_others())
    )
    for variable in board.variables:
        made = made.with_variable(_variable(variable))
    numbers = itertools.count(1)
    for row in board.rows:
        made = _with_row(made, row, objectives, numbers)
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _others() -> build.DashboardLink:
    return (
        build.DashboardLink("Limelight")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags(["limelight"])
        .as_dropdown(True)
        .keep_time(True)
        .include_vars(False)
    )


def _variable(variable: Variable) -> build.QueryVariable:
    return (
        build.QueryVariable(variable.name)
        .datasource(SOURCE)
        .query(variable.query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _with_row(
    made: build.Dashboard, row: Row, objectives: Objectives, numbers: Iterator[int]
) -> build.Dashboard:
    made = made.with_row(build.Row(row.title).id(next(numbers)))
    for chart in row.charts:
        made = made.with_panel(_panel(chart, objectives).id(next(numbers)))
    return made


def _panel(chart: Chart, objectives: Objectives) -> Panel:
    panel: Panel = _number() if chart.number else _lines(chart)
    panel.title(chart.title).description(chart.description).datasource(SOURCE).unit(chart.unit)
    panel.links([_runbook(chart, objectives)]).span(chart.width)
    panel.height(HEIGHT_OF_NUMBERS if chart.number else HEIGHT)
    panel.thresholds(_thresholds(chart))
    for letter, (legend, expression) in zip(ascii_uppercase, chart.queries.items(), strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend)
        panel.with_target(query.datasource(SOURCE).instant() if chart.number else query.range())
    return panel


def _runbook(chart: Chart, objectives: Objectives) -> build.DashboardLink:
    return (
        build.DashboardLink(f"Runbook {chart.runbook}")
        .type(model.DashboardLinkType.LINK)
        .url(objectives.runbook(chart.runbook))
        .target_blank(True)
    )


def _number() -> stat.Panel:
    return (
        stat.Panel()
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    )


def _lines(chart: Chart) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .min(0)
        .fill_opacity(8)
        .span_nulls(False)
        .tooltip(
            VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .legend(
            VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if chart.limit is not None:
        line = GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
        panel.thresholds_style(line)
    return panel


def _thresholds(chart: Chart) -> build.ThresholdsConfig:
    steps = [model.Threshold(value=None, color="green")]
    if chart.limit is not None:
        steps.append(model.Threshold(value=chart.limit, color="red"))
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
