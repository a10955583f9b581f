"""The dashboards, and the files that Grafana's provisioning reads."""

from __future__ import annotations

from pathlib import Path

from deploy.observability.boards import gateway, marketing, models, overview, pipeline
from deploy.observability.charts import Board
from deploy.observability.grafana_json import dashboard_json
from deploy.observability.slo import Objectives

FOLDER = Path(__file__).parent / "grafana" / "dashboards"


def boards(objectives: Objectives) -> list[Board]:
    """All of them, the first one to open first."""
    parts = (overview, models, pipeline, marketing, gateway)
    return [part.board(objectives) for part in parts]


def files(objectives: Objectives) -> dict[Path, str]:
    """What the files have to say."""
    return {
        FOLDER / f"{board.uid}.json": dashboard_json(board, objectives)
        for board in boards(objectives)
    }
