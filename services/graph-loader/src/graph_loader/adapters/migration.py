"""Migrations of a graph: files of Cypher statements, each applied once, in the order of names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from graph_loader.domain.errors import NewerGraph

MIGRATIONS = Path(__file__).parent.parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """A file and its statements."""

    name: str
    statements: tuple[str, ...]


def pending(engine: str, applied: Collection[str], folder: Path = MIGRATIONS) -> list[Migration]:
    """The migrations of ``engine`` that are not applied yet, ``<engine>.<number>.<what>.cypher``.

    Raises:
        NewerGraph: the graph has one that this version does not know.
    """
    files = {path.stem: path for path in sorted(folder.glob(f"{engine}.*.cypher"))}
    if unknown := sorted(set(applied) - files.keys()):
        raise NewerGraph(
            f"the graph has migrations that this version does not know ({', '.join(unknown)}): "
            "a newer version of Limelight has used it; install that one, or choose another graph"
        )
    return [
        Migration(name, _statements(path)) for name, path in files.items() if name not in applied
    ]


def _statements(path: Path) -> tuple[str, ...]:
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("//"))
    return tuple(part.strip() for part in text.split(";") if part.strip())
