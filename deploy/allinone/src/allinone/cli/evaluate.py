"""``limelight evaluate``: how good what is recommended is, offline."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from allinone.cli.following import bar
from allinone.cli.shell import clear_errors, err, out

if TYPE_CHECKING:  # loads the model's runtime
    from allinone.evaluation.evaluating import Judged, Task
    from allinone.evaluation.metrics import Interval, Scores

app = typer.Typer(help="Judge what is recommended, offline.", no_args_is_help=True)
Lines = "JSON lines: user_id, text or utterances, engaged, and if known known_likes"


@app.command()
def recommendations(
    train: Annotated[
        Path, typer.Option(help=f"people to learn from; {Lines}", exists=True, dir_okay=False)
    ],
    test: Annotated[
        Path, typer.Option(help="people to be judged; the same", exists=True, dir_okay=False)
    ],
    campaigns: Annotated[
        Path,
        typer.Option(
            help="JSON list, JSON lines or CSV with id and title", exists=True, dir_okay=False
        ),
    ],
    least: Annotated[
        int, typer.Option(min=1, help="people who engaged with a campaign for it to be a candidate")
    ] = 3,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON only")] = False,
) -> None:
    """Learn from one file, recommend to the people of another, and compare with popularity.

    Runs the code of production: embedding, graph, ranking. The interval is that of a paired
    bootstrap over people. Every line is a person of its own.
    """
    with clear_errors():
        from allinone.evaluation import cases, evaluating  # noqa: PLC0415 - loads the model's runtime

        what = evaluating.task(
            cases.read_cases(train, "train"),
            cases.read_cases(test, "test"),
            cases.read_offers(campaigns),
            least,
        )
        judged = _evaluated(what)
        if as_json:
            print(json.dumps(judged.report(what), indent=2))
        else:
            _show(what, judged)


def _evaluated(what: Task) -> Judged:
    from allinone.evaluation.evaluating import evaluate  # noqa: PLC0415

    with bar(err) as progress:
        task = progress.add_task("people judged", total=len(what.judged))
        return asyncio.run(
            evaluate(what, progress=lambda done: progress.update(task, completed=done))
        )


def _show(what: Task, judged: Judged) -> None:
    table = Table(box=SIMPLE)
    for heading in ("", "hit@5", "NDCG@5", "coverage@5"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("recommended", *_row(judged.ours))
    table.add_row("popularity", *_row(judged.popularity))
    out.print(table)
    for name, found in (("hit@5", judged.hit_lift), ("NDCG@5", judged.ndcg_lift)):
        out.print(f"lift over popularity, {name}: {_interval(found)}")
    out.print(
        f"{len(what.judged)} people judged, {what.left_out} left out who engaged with no "
        f"candidate; {len(what.counts)} candidates, learned from {len(what.learned)} people"
    )


def _row(one: Scores) -> list[str]:
    return [f"{one.hits.mean():.3f}", f"{one.ndcg.mean():.3f}", f"{one.coverage:.2f}"]


def _interval(one: Interval) -> str:
    return f"{one.mean:+.3f} (95 % {one.low:+.3f} to {one.high:+.3f})"
