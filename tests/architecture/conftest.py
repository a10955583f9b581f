"""What the architecture tests look at: every service folder and every source file."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for pattern in ("contracts/src", "libs/*/src", "services/*/src", "deploy/*/src")
    for root in REPOSITORY.glob(pattern)
    for path in root.rglob("*.py")
)
SERVICES = sorted(path.parent for path in REPOSITORY.glob("services/*/pyproject.toml"))


def _relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(params=SERVICES, ids=_relative)
def service(request: pytest.FixtureRequest) -> Path:
    """A service's folder, each in turn."""
    folder: Path = request.param
    return folder


@pytest.fixture
def package(service: Path) -> Path:
    """The folder of a service's import package, named after the service with underscores."""
    return service / "src" / service.name.replace("-", "_")


@pytest.fixture(params=SOURCES, ids=_relative)
def source(request: pytest.FixtureRequest) -> Path:
    """A source file of any package, each in turn."""
    path: Path = request.param
    return path


@pytest.fixture
def source_name(source: Path) -> str:
    """The path of ``source`` inside the repository, with forward slashes."""
    return source.relative_to(REPOSITORY).as_posix()
