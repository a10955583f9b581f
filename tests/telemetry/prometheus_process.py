"""A real Prometheus over one ops port, asked through its HTTP API."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml
from devkit.ports import free_port
from devkit.running import UNANSWERED
from devkit.servers.local import LocalServer, ServerUnavailable

EVERY = "1s"


class PrometheusProcess:
    """Scrapes and evaluates every second, and alerts wait for nothing: a test has no minutes."""

    def __init__(self, folder: Path, target: str, rules: Path, service: str) -> None:
        program = shutil.which("prometheus")
        if program is None:
            raise ServerUnavailable(
                "prometheus is not on PATH: apt-get install prometheus, or make server-tools"
            )
        folder.mkdir(parents=True)
        self._url = f"http://127.0.0.1:{free_port()}"
        _write_configuration(folder, target, rules, service)
        command = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self._url.removeprefix('http://')}",
        ]
        self.server = LocalServer("Prometheus", folder, command, self._answers)
        self.server.launch()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now. Raises ValueError with what is wrong with it."""
        return list(self._asked("query", query=expression)["result"])

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health."""
        return [rule for group in self._asked("rules")["groups"] for rule in group["rules"]]

    def _asked(self, what: str, **parameters: str) -> Any:
        try:
            with urlopen(
                f"{self._url}/api/v1/{what}?{urlencode(parameters)}", timeout=30
            ) as answer:
                return json.loads(answer.read())["data"]
        except HTTPError as error:
            raise ValueError(f"{parameters}: {error.read().decode()}") from error

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self._url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except UNANSWERED:
            return False


def _write_configuration(folder: Path, target: str, rules: Path, service: str) -> None:
    quick = yaml.safe_load(rules.read_text())
    for group in quick["groups"]:
        group["interval"] = EVERY
        for rule in group["rules"]:
            rule.pop("for", None)
    (folder / "rules.yml").write_text(yaml.safe_dump(quick))
    configuration = {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {
                "job_name": "limelight",
                "honor_labels": True,
                "static_configs": [{"targets": [target], "labels": {"service": service}}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
