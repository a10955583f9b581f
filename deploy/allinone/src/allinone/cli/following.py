"""Following a run to its end, with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from allinone.cli.shell import out
from allinone.client import Api, ClientError

POLL_SECONDS = 0.2
Json = dict[str, Any]


def bar(console: Console = out) -> Progress:
    """A progress bar in the house style; what is no terminal gets none."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=not console.is_terminal)


def to_end(
    api: Api,
    run_id: str,
    *,
    seconds: float | None = None,
    ended: Callable[[Json], bool] = lambda run: run["state"] != "running",
) -> Json:
    """Watch a run until it has ended; the run. Raises ClientError after ``seconds``."""
    until = None if seconds is None else time.monotonic() + seconds
    with bar() as progress:
        task = progress.add_task("answers analysed", total=None)
        while True:
            run: Json = api.call("GET", f"/v1/visibility/runs/{run_id}")
            counts = run["progress"]
            done = sum(counts[end] for end in ("analyzed", "failed", "not_run"))
            progress.update(task, completed=done, total=counts["expected"])
            if ended(run):
                return run
            if until is not None and time.monotonic() > until:
                raise ClientError(f"the run did not end within {seconds:.0f} s: {counts}")
            time.sleep(POLL_SECONDS)
