"""``make chaos``: the distributed setup on real servers, broken in every way, and judged."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from devkit.history import complaints
from devkit.servers.local import ServerUnavailable
from devkit.stack import Servers
from tests.chaos.distributed.plan import LONG, SHORT
from tests.chaos.distributed.recovery import measure, recovery_table
from tests.chaos.distributed.run import Outcome, run
from tests.chaos.distributed.tables import outcome_table


def main() -> int:
    """1 if something is not as it was promised; 2 if a server cannot be had."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the form that CI runs")
    parser.add_argument("--seed", type=int, help="draws the faults")
    parser.add_argument("--data", type=Path, help="a folder that stays, with all outputs")
    options = parser.parse_args()
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} {line}", flush=True)

    plan = SHORT if options.short else LONG
    plan = plan if options.seed is None else replace(plan, seed=options.seed)
    with tempfile.TemporaryDirectory(prefix="limelight-") as temporary:
        folder = options.data or Path(temporary)
        try:
            with Servers.start(folder / "servers") as servers:
                outcome = run(plan, folder, servers, tell)
                wrong = _judged(outcome)
                if not options.short:
                    tell("killing each service once more, to see how soon it is back")
                    print(recovery_table(measure(plan, folder, servers, tell)))
        except ServerUnavailable as error:
            print(f"chaos: {error}", file=sys.stderr)
            return 2
    return 1 if wrong else 0


def _judged(outcome: Outcome) -> list[str]:
    wrong = complaints(outcome.history)
    print(outcome_table(outcome))
    print("\n".join(wrong) if wrong else "Nothing is lost, and nothing is done twice.", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
