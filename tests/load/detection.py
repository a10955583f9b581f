"""Answers per second in which a thousand brands are found, beside spaCy and a plain pattern.

Real answers are read from a folder that is not part of the repository. All rows get the same names
and run in one process on one core: spaCy's PhraseMatcher on lower case with the tokens of a blank
English pipeline, a compiled pattern of all names, and ours once for the names only and once with
sentences and list items. The rivals count words; ours also tells brands from ordinary words.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from uuid import UUID

sys.path[0] = str(Path(__file__).resolve().parents[2])

from devkit import real_answers  # noqa: E402 - where a script looks first
from mention_analyzer.domain.models import Brand  # noqa: E402
from mention_analyzer.domain.names.matching import Matcher  # noqa: E402
from mention_analyzer.domain.text.laying_out import lay_out  # noqa: E402
from mention_analyzer.domain.text.layout import Layout  # noqa: E402
from mention_analyzer.domain.text.linking import links_and_regions  # noqa: E402
from tests.load.detection_names import answers, names  # noqa: E402
from tests.load.markdown import table  # noqa: E402

Find = Callable[[str], int]
_HEADINGS = ("", "answers/s", "us per answer", "found", "times spaCy", "times the pattern")
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """Seconds of CPU for all texts in the best round, and how many names were found."""

    name: str
    seconds: float
    found: int


def ours(brands: list[tuple[str, ...]], texts: list[str]) -> dict[str, Find]:
    """Names in a text that is laid out, names only, and names with all of the layout."""
    known = tuple(Brand(UUID(int=n), name, tuple(rest)) for n, (name, *rest) in enumerate(brands))
    find = Matcher(known).find
    laid_out = {text: lay_out(text) for text in texts}

    def names_only(text: str) -> int:
        links, regions = links_and_regions(text)
        return len(find(Layout(text, regions, links, (), ())))

    return {
        "names, layout given": lambda text: len(find(laid_out[text])),
        "names": names_only,
        "names, sentences, items": lambda text: len(find(lay_out(text))),
    }


def pattern(brands: list[tuple[str, ...]]) -> Find:
    """What a script would do: one alternative per name, longest first, whole words."""
    longest = sorted((name for every in brands for name in every), key=len, reverse=True)
    compiled = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)
    return lambda text: len(compiled.findall(text))


def spacy(brands: list[tuple[str, ...]]) -> Find | None:
    """None where it is not installed."""
    try:
        loaded = import_module("spacy"), import_module("spacy.matcher")
    except ModuleNotFoundError:  # only the environment of rivals has it
        return None
    pipeline = loaded[0].blank("en")
    phrases = loaded[1].PhraseMatcher(pipeline.vocab, attr="LOWER")
    phrases.add("BRAND", [pipeline.make_doc(name) for every in brands for name in every])
    return lambda text: len(phrases(pipeline.make_doc(text)))


def measure(name: str, find: Find, texts: list[str], rounds: int) -> Row:
    """The best of some rounds: what else runs on the machine can only make it slower."""
    found = sum(map(find, texts))
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        begun = time.process_time()
        sum(map(find, texts))
        best = min(best, time.process_time() - begun)
    return Row(name, best, found)


def shown(rows: list[Row], texts: int) -> list[tuple[str, ...]]:
    """Rows as text; a rival that is missing has no ratio."""
    seconds = {row.name: row.seconds for row in rows}

    def times(row: Row, rival: str) -> str:
        return f"{seconds[rival] / row.seconds:.1f}" if rival in seconds else ""

    return [
        (
            row.name,
            f"{texts / row.seconds:,.0f}",
            f"{1e6 * row.seconds / texts:,.0f}",
            f"{row.found:,}",
            times(row, "spaCy PhraseMatcher"),
            times(row, "one pattern"),
        )
        for row in rows
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    folder = real_answers.folder(_REPOSITORY)
    parser.add_argument("--answers", type=Path, default=folder, required=folder is None)
    parser.add_argument("--brands", type=int, default=1000)
    parser.add_argument("--names", type=int, default=3, help="per brand")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    texts, labels = answers(options.answers)
    brands = names(labels, options.brands, options.names)
    finds = {
        **ours(brands, texts),
        "spaCy PhraseMatcher": spacy(brands),
        "one pattern": pattern(brands),
    }
    rows = [measure(name, find, texts, options.rounds) for name, find in finds.items() if find]
    print("load average: {:.2f} {:.2f} {:.2f}".format(*os.getloadavg()))
    print(f"{len(texts)} answers of {sum(map(len, texts)) // len(texts):,} characters on average")
    print(table([_HEADINGS, *shown(rows, len(texts))]))


if __name__ == "__main__":
    main()
