"""All rows of the executor's benchmark, by name, and their tables."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path
from typing import Protocol

from runtime import logging, tracing
from tests.load.executor_backlog import backlog
from tests.load.executor_bed import Bed, Stuck, bed, say
from tests.load.executor_faults import faults
from tests.load.executor_killed import kills
from tests.load.executor_throughput import throughput


class Row(Protocol):
    """Measures and answers with a Markdown table."""

    async def __call__(self, bed: Bed, *, short: bool) -> str: ...


ROWS: dict[str, tuple[str, Row]] = {
    "throughput": ("Throughput: 512 calls in flight, each takes 200 ms", throughput),
    "faults": ("Faults: what a provider that fails costs", faults),
    "kills": ("Kills: kill -9 at random moments", kills),
    "backlog": ("Backlog: many requests waiting", backlog),
}


async def measure(names: list[str], folder: Path, *, short: bool) -> list[str]:
    """The tables of these rows, one after the other."""
    found = []
    async with bed(folder) as one:
        for name in names:
            title, row = ROWS[name]
            say(f"\n{title}")
            load = "load average before: {:.2f} {:.2f} {:.2f}".format(*os.getloadavg())
            found.append(f"## {title}\n\n{await row(one, short=short)}\n\n{load}")
    return found


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="The llm-executor under load, faults and kills.")
    parser.add_argument("--short", action="store_true", help="a minute or two for each row")
    parser.add_argument(
        "--only", action="append", choices=ROWS, metavar="ROW", help=", ".join(ROWS)
    )
    options = parser.parse_args()
    logging.configure("load", "ERROR")
    tracing.configure("load", None)
    say(f"{os.cpu_count()} cores, shared by client, simulator and PostgreSQL")
    with tempfile.TemporaryDirectory(prefix="limelight-load-") as folder:
        try:
            names = options.only or list(ROWS)
            found = asyncio.run(measure(names, Path(folder), short=options.short))
        except KeyboardInterrupt:
            raise SystemExit("stopped; nothing was left behind") from None
        except Stuck as error:
            raise SystemExit(f"stopped: {error}") from None
    say("")
    print("\n\n".join(found))


if __name__ == "__main__":
    main()
