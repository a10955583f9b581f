"""Who may import what, where import-linter cannot say it; and that it sees every package."""

from __future__ import annotations

import ast
import configparser
import sys
from collections.abc import Iterator
from pathlib import Path

BROKER_CLIENTS = {"aiokafka", "confluent_kafka", "faststream", "kafka"}
MAY_SPEAK_KAFKA = ("libs/bus/", "libs/devkit/")
STANDARD_LIBRARY = set(sys.stdlib_module_names)
# Libraries that compute and reach nothing: no file, no network, no clock (ADR 0014).
COMPUTING = {"ahocorasick_rs", "numpy", "publicsuffixlist", "vaderSentiment"}


def imported(code: str) -> set[str]:
    """Absolute names of all imported modules, wherever in the file the import stands."""
    return set(_imported(ast.parse(code)))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import stays inside its package and has no name here.
            yield from [node.module or ""] if not node.level else [f".{node.module or ''}"]


def top_level(code: str) -> set[str]:
    """The packages a file imports from, relative imports left out."""
    return {name.partition(".")[0] for name in imported(code)} - {""}


def imports_of(source: Path) -> set[str]:
    return imported(source.read_text(encoding="utf-8"))


def packages_of(source: Path) -> set[str]:
    return top_level(source.read_text(encoding="utf-8"))


CODE = """
import os.path
from a.b import c
from . import d
if True:
    def f():
        import e
"""


def test_imports_are_found_everywhere() -> None:
    assert imported(CODE) == {"os.path", "a.b", ".", "e"}
    assert top_level(CODE) == {"os", "a", "e"}


def test_domain_imports_itself_and_what_only_computes(package: Path) -> None:
    own = f"{package.name}.domain"
    modules = list((package / "domain").rglob("*.py"))
    assert modules
    foreign = {
        f"{module.name}: {name}"
        for module in modules
        for name in imports_of(module)
        if name.partition(".")[0] not in STANDARD_LIBRARY | COMPUTING
        and not name.startswith(".")
        and name != own
        and not name.startswith(f"{own}.")
    }
    assert foreign == set()


def test_contracts_import_pydantic_only(repository: Path) -> None:
    modules = list((repository / "contracts" / "src").rglob("*.py"))
    assert modules
    imports = {name for module in modules for name in packages_of(module)}
    assert imports - STANDARD_LIBRARY <= {"contracts", "pydantic"}


def test_only_the_bus_and_the_devkit_speak_kafka(source: Path, source_name: str) -> None:
    if not source_name.startswith(MAY_SPEAK_KAFKA):
        assert not packages_of(source) & BROKER_CLIENTS


def test_only_the_runtime_makes_metrics(source: Path, source_name: str) -> None:
    if not source_name.startswith("libs/runtime/"):
        assert "prometheus_client" not in packages_of(source)


def lint_config(repository: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    assert config.read(repository / ".importlinter", encoding="utf-8")
    return config


def test_import_linter_checks_every_package(repository: Path) -> None:
    packages = {
        path.parent.name
        for pattern in ("contracts/src", "libs/*/src", "services/*/src", "deploy/*/src")
        for path in repository.glob(f"{pattern}/*/__init__.py")
    }
    config = lint_config(repository)
    assert set(config["importlinter"]["root_packages"].split()) == packages


def test_import_linter_knows_every_service(repository: Path) -> None:
    services = {
        path.parent.name.replace("-", "_") for path in repository.glob("services/*/pyproject.toml")
    }
    config = lint_config(repository)
    assert set(config["importlinter:contract:services"]["modules"].split()) == services
    assert set(config["importlinter:contract:rooms"]["containers"].split()) == services
    protected = config["importlinter:contract:settings"]["protected_modules"].split()
    assert set(protected) == {f"{service}.settings" for service in services}
