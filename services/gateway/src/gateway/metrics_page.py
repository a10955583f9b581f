"""Writes docs/metrics.md from the metric dictionary: ``python -m gateway.metrics_page [--check]``.

``--check`` writes nothing and fails when the committed page is not what the code says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.paths import REPOSITORY

from gateway.domain.intervals import CONFIDENCE, DRAWS, FEW_PROMPTS, FEW_SPLITS, Method
from gateway.domain.metrics import METRICS, Metric, Total

PAGE = REPOSITORY / "docs" / "metrics.md"

_HEAD = """# Metrics

<!-- Written by python -m gateway.metrics_page from gateway/domain/metrics.py: edit that. -->

Every metric of a visibility report is a ratio of two sums over answers. Sums are kept by surface,
model and prompt, so that the metrics of a group follow from its parts. Failed calls, and answers
that are not analysed yet, are in no sum. A ratio whose denominator is 0 has no value.
"""

_GROUPS = """## Groups

By surface, by surface and model, by surface and tag, and by all three. Surfaces (an API, a chat
product, a search page) are different products: they are pooled only if asked for, and then called
"all". Where models are pooled every answer weighs the same, so that a model with more answers
weighs more. Shares of voice are among the tracked brands: another set gives other shares.
"""

_OUTCOMES = """## What counts as what

An answer counts for a brand by what the brand's occurrences in it amount to.
"""
_OUTCOME_TABLE = (
    ("named", "names the brand to the reader, in whatever way: also to recommend or deny it"),
    (
        "recommended",
        "tells the reader to take it, calls it a good choice or lists it among announced choices",
    ),
    (
        "denied",
        "tells the reader not to take it, calls it no good choice, leaves it out by name, lists it "
        "under a warning or takes another rather than it",
    ),
    (
        "cited",
        "does not name it, but gives it as the source of a statement, e.g. in a reference",
    ),
    (
        "link-only",
        "neither names nor cites it, but has it in the target of a link, where no reader sees it",
    ),
)
_OUTCOMES_END = """An answer can both recommend and deny a brand. One that only cites or links
it counts in `cited_rate` or `link_only_rate`, never in `visibility_rate`, ranks, shares of voice or
sentiment. Citations are pages, in the text or beside it, and are the brand's if they are on its
domains.
"""

_METHODS: tuple[tuple[Method, str, str], ...] = (
    (Method.WILSON, "rates, every prompt asked once", "score interval (Wilson 1927, JASA 22:209)"),
    (
        Method.BOOTSTRAP,
        "everything else with enough prompts",
        f"prompts are drawn anew {DRAWS:,} times, the ratio of sums is taken each time; tails of "
        "the expanded percentile interval (Hesterberg 2015, Am. Stat. 69:371)",
    ),
    (
        Method.EFFECTIVE_SIZE,
        f"rates and shares with fewer than {FEW_SPLITS} prompts with a hit, or with a miss; "
        "bounded means whose prompts are all alike",
        "Wilson on the number of answers / design effect (Kish 1965; recommended by Franco et al. "
        "2019, J. Surv. Stat. Methodol. 7:334)",
    ),
    (
        Method.CLUSTER_T,
        f"means that fewer than {FEW_PROMPTS} prompts contribute to",
        "Student's t on the linearised variance between prompts (Cochran 1977)",
    ),
    (
        Method.ONE_PROMPT,
        "one prompt only, with repeats",
        "Wilson on its answers: about this prompt, not about others",
    ),
    (
        Method.NONE,
        "no value; a mean of one answer; an unbounded mean whose prompts are all alike",
        "no bounds",
    ),
)

_INTERVALS_HEAD = f"""## Intervals

Bounds are those of {CONFIDENCE:.0%} intervals. Repeats of one prompt resemble each other, so the
unit is the prompt with all its answers, never the single answer. `method` says how an interval was
made:
"""

_INTERVALS = """- The design effect is 1 + (answers per prompt - 1) x correlation of answers to one
  prompt, by analysis of variance (Donner 1986, Int. Stat. Rev. 54:67) pooled over the group's
  brands, or the brand's own if that is larger. It leaves at least as many answers as there are
  prompts, and at most all. Metrics that do not count answers use the correlation of being named.
- Shares of voice count on as many things as there are namings; the share of citations on citations
  or answers, whichever are fewer.
- Sentiment counts as a share between -1 and 1, mean rank as one between 1 and the number of tracked
  brands, where a Wilson interval is made for them.
- The draws follow from the run and the number of prompts, so that a report always has the same
  bounds.

How often they hold the truth was measured against the simulator: see
[benchmarks](benchmarks.md).

### What they do not cover

- Prompts unlike those asked. The prompts are taken as a sample of all that could have been asked
  under the same tag; if they were picked for an effect, the interval knows nothing of it.
- Change over time: the models of tomorrow, another season, another place or account.
- Errors of the analysis, such as a brand that was not recognised.
- Many comparisons: of 100 such intervals about 5 miss.
- Values right next to 0 or 1: of rates that are no further away than 0.2 / answers a Wilson
  interval misses up to one in six (Brown, Cai and DasGupta 2001, Stat. Sci. 16:101).
"""


def page() -> str:
    """The page, ending in one newline."""
    headings = ("metric", "formula", "unit", "range", "kind", "source")
    dictionary = _table(headings, [_row(metric) for metric in METRICS])
    methods = [(f"`{method}`", when, how) for method, when, how in _METHODS]
    parts = (
        *(_HEAD, "## Dictionary\n", dictionary, _FIELDS, _GROUPS, _OUTCOMES),
        *(_table(("outcome", "an answer that"), _OUTCOME_TABLE), _OUTCOMES_END),
        *(_INTERVALS_HEAD, _table(("method", "when", "how"), methods), _INTERVALS),
    )
    return "\n".join(parts)


_FIELDS = """A rate is a share of answers; a share any other ratio between 0 and 1; a mean is over
the answers that have a value. `informative_rate` is of a group, all others of a brand in a group.
"""


def _row(metric: Metric) -> tuple[str, ...]:
    ratio = f"{metric.formula} (`{metric.numerator}` / {_below(metric.denominator)})"
    return (
        f"`{metric.id}`: {metric.title}",
        *(ratio, metric.unit, _range(metric), metric.kind.value, metric.source),
    )


def _below(denominator: str | Total) -> str:
    return denominator.value if isinstance(denominator, Total) else f"`{denominator}`"


def _range(metric: Metric) -> str:
    return f"{metric.least:g} to {'any' if metric.most is None else f'{metric.most:g}'}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (headings, ["---"] * len(headings), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(arguments: Sequence[str] | None = None, target: Path = PAGE) -> int:
    """Return 0, or 1 if ``--check`` found another page than it would write."""
    parser = argparse.ArgumentParser(prog="python -m gateway.metrics_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on differences")
    if not parser.parse_args(arguments).check:
        target.write_text(page(), encoding="utf-8", newline="\n")
        return 0
    if target.is_file() and target.read_bytes().decode("utf-8") == page():
        return 0
    print(f"{target.name} differs: run python -m gateway.metrics_page", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
