"""Finding brands in real answers of two assistants, against labels.

The answers are not part of the repository: ``LIMELIGHT_REAL_ANSWERS`` names their folder. For every
product that an answer recommends they have its brand; ``gold/ambiguous_names.jsonl`` has, for names
that are also ordinary words, every place of the name in an answer outside of link targets, with
whether it is the brand there. Half of the questions were kept out of the tuning of the rules.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from contracts.paths import REPOSITORY
from devkit import real_answers
from mention_analyzer.domain.models import Brand
from mention_analyzer.domain.names.matching import matcher
from mention_analyzer.domain.text.laying_out import lay_out
from mention_analyzer.domain.text.layout import Place

GOLD = Path(__file__).parents[1] / "gold" / "ambiguous_names.jsonl"
FOLDER = real_answers.folder(REPOSITORY)
SEEN = 3  # a label in fewer answers may be a slip
FIRST_QUERY, VARIATIONS = 2219, 4  # four wordings of one question follow each other

pytestmark = pytest.mark.skipif(
    FOLDER is None,
    reason="the real answers are not beside this checkout: set LIMELIGHT_REAL_ANSWERS",
)


@dataclass
class Counts:
    """How often rule and label said yes and no."""

    cells: Counter[tuple[bool, bool]] = field(default_factory=Counter)

    def add(self, found: bool, label: bool) -> None:
        self.cells[found, label] += 1

    @property
    def precision(self) -> float:
        return self.cells[True, True] / max(1, self.cells[True, True] + self.cells[True, False])

    @property
    def recall(self) -> float:
        return self.cells[True, True] / max(1, self.cells[True, True] + self.cells[False, True])


@cache
def answers() -> dict[tuple[str, str], dict[str, Any]]:
    assert FOLDER is not None  # else skipped
    return {(name, row["query_id"]): row for name, row in real_answers.answers(FOLDER)}


def named(name: str) -> Brand:
    return Brand(uuid5(UUID(int=0), name), name)


def same(label: str) -> str:
    """One brand in different spellings: "ASUS" and "Asus", two kinds of apostrophe."""
    return label.replace("’", "'").casefold()


def labels(row: dict[str, Any]) -> set[str]:
    brands = (product["brand"] for product in row["products_mentioned"])
    return {same(brand) for brand in brands if brand and brand != "Unknown"}


def spellings() -> dict[str, str]:
    """Every labelled brand in its most frequent spelling."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in answers().values():
        for product in row["products_mentioned"]:
            if product["brand"]:
                counts[same(product["brand"])][product["brand"]] += 1
    return {label: spelled.most_common(1)[0][0] for label, spelled in counts.items()}


def pairs() -> Iterator[tuple[str, str, bool]]:
    """Question, labelled brand, and whether the brand is found in the answer."""
    brands = {label: named(spelled) for label, spelled in spellings().items()}
    find = matcher(tuple(brands.values())).find
    for (_, query), row in answers().items():
        found = {match.brand_id for match in find(lay_out(row["response"]))}
        for label in labels(row):
            yield query, label, brands[label].brand_id in found


def test_labelled_brands_are_found() -> None:
    """Raw: a label whose name the answer does not have ("Apple" for an iPhone) counts as missed."""
    number = Counter(label for row in answers().values() for label in labels(row))
    counts, missed = Counts(), Counter[str]()
    for _, label, found in pairs():
        if number[label] >= SEEN:
            counts.add(found, True)
            missed[label] += not found
    print(f"recall {counts.recall:.4f}, missed {+missed}")
    assert sum(counts.cells.values()) > 800
    assert counts.recall >= 0.98, +missed


def held_out(query: str) -> bool:
    """By question, whose answers share most of their names."""
    question = (int(query.removeprefix("query-")) - FIRST_QUERY) // VARIATIONS
    return hashlib.sha256(str(question).encode()).digest()[0] % 2 == 0


@cache
def judged() -> dict[bool, Counts]:
    """Held-out and tuning part of the labelled places."""
    windows: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in GOLD.read_text("utf-8").splitlines():
        window = json.loads(line)
        windows[window["file"], window["query_id"], window["brand"]].append(window)
    counts = {True: Counts(), False: Counts()}
    for (file, query, brand), group in windows.items():
        text = answers()[file, query]["response"]
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == group[0]["sha256"]
        spans = [
            (match.start, match.end)
            for match in matcher((named(brand),)).find(lay_out(text))
            if match.place is not Place.URL
        ]
        for window in group:
            place = window["start"], window["end"]
            found = any(start <= place[0] and place[1] <= end for start, end in spans)
            counts[held_out(query)].add(found, window["label"])
    return counts


@pytest.mark.parametrize("held", [False, True], ids=["tuning", "held-out"])
def test_ambiguous_names_are_told_from_words(held: bool) -> None:
    counts = judged()[held]
    print(f"precision {counts.precision:.3f}, recall {counts.recall:.3f}, {dict(counts.cells)}")
    assert sum(counts.cells.values()) > 200
    assert counts.precision >= 0.95
    assert counts.recall >= 0.95


def test_places_report_what_stands_there() -> None:
    """Each match is its name again, letter by letter, without regard to case."""
    find = matcher(tuple(map(named, spellings().values()))).find
    for row in answers().values():
        layout = lay_out(row["response"])
        for match in find(layout):
            shown = layout.text[match.start : match.end]
            alias = "".join(filter(str.isalnum, same(match.alias)))
            assert "".join(filter(str.isalnum, same(shown))).replace("and", "") == alias.replace(
                "and", ""
            )
