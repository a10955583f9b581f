"""What a process does about memory once it has started."""

from __future__ import annotations

import gc

# Collecting the young costs as much with few dead objects as with many: 700, Python's own, suits
# programs that make little garbage.
THRESHOLDS = (20_000, 20, 50)


def settle() -> None:
    """Tell the garbage collector to leave alone what is there now: modules and start-up objects.

    They live as long as the process, and going through them again and again was a third of the
    CPU of a busy service; looking at the young less often saves another sixth
    (docs/benchmarks.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
