"""Every service has the same rooms, so that who knows one finds their way in all."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from contracts.topics import TOPICS

HEADINGS = ("Consumes", "Emits", "Owns", "Promises")
MODULES = ("__init__", "__main__", "app", "settings", "handlers")
DOMAIN = ("models", "rules", "ports", "errors")


def sections(markdown: str) -> dict[str, str]:
    """The text below each heading of a page, by the heading."""
    parts = re.split(r"^#+ +(.+?) *$", markdown, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def readme(service: Path) -> dict[str, str]:
    return sections((service / "README.md").read_text(encoding="utf-8"))


def test_sections_of_a_page() -> None:
    assert sections("intro\n# Title\n\nabout\n## Emits\n- one\n") == {
        "Title": "\n\nabout\n",
        "Emits": "\n- one\n",
    }


def test_there_are_services(repository: Path) -> None:
    assert {path.name for path in (repository / "services").iterdir()} >= {
        "gateway",
        "llm-executor",
        "mention-analyzer",
    }


@pytest.mark.parametrize("name", ["README.md", "pyproject.toml"])
def test_file_is_there(service: Path, name: str) -> None:
    assert (service / name).is_file()


@pytest.mark.parametrize("heading", HEADINGS)
def test_readme_has_the_heading_and_text_below_it(service: Path, heading: str) -> None:
    assert readme(service)[heading].strip()


def test_readme_names_what_it_consumes_and_emits(service: Path) -> None:
    page = readme(service)
    consumed = [topic.name for topic in TOPICS if service.name in topic.consumers]
    emitted = [topic.name for topic in TOPICS if service.name in topic.producers]
    assert [name for name in consumed if name not in page["Consumes"]] == []
    assert [name for name in emitted if name not in page["Emits"]] == []


@pytest.mark.parametrize("name", MODULES)
def test_module_is_there(package: Path, name: str) -> None:
    assert (package / f"{name}.py").is_file()


def test_package_is_typed(package: Path) -> None:
    assert (package / "py.typed").is_file()


def test_only_the_gateway_has_an_api(service: Path, package: Path) -> None:
    api = (package / "api.py").is_file() or (package / "api" / "__init__.py").is_file()
    assert api == (service.name == "gateway")


@pytest.mark.parametrize("name", DOMAIN)
def test_domain_module_is_there(package: Path, name: str) -> None:
    assert (package / "domain" / f"{name}.py").is_file()


def test_adapters_are_memory_and_at_least_one_technology(package: Path) -> None:
    adapters = {path.stem for path in (package / "adapters").glob("*.py")} - {"__init__"}
    assert "memory" in adapters
    assert len(adapters) >= 2


def test_stores_with_a_schema_have_migrations(package: Path) -> None:
    adapters = {path.name.partition(".")[0] for path in (package / "adapters").iterdir()}
    migrations = {path.suffix for path in (package / "migrations").glob("*")}
    assert (".sql" in migrations) == bool(adapters & {"postgres", "pgvector"})
    assert (".cypher" in migrations) == ("neo4j" in adapters)


@pytest.mark.parametrize("kind", ["unit", "contract", "integration"])
def test_every_kind_of_test_is_there(service: Path, kind: str) -> None:
    assert list((service / "tests" / kind).rglob("test_*.py"))


def test_test_modules_have_names_of_their_own(repository: Path) -> None:
    # Test folders are no packages: two modules of one name would shadow each other.
    patterns = ("contracts/tests", "libs/*/tests", "services/*/tests", "deploy/*/tests", "tests")
    names = Counter(
        path.name
        for pattern in patterns
        for folder in repository.glob(pattern)
        for path in folder.rglob("test_*.py")
    )
    assert [name for name, count in names.items() if count > 1] == []
