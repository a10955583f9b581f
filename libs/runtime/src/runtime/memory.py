"""What a process does about memory once it has started."""

from __future__ import annotations

import gc


def settle() -> None:
    """Tell the garbage collector to leave alone what is there now: modules and start-up objects.

    They live as long as the process, and going through them again and again was a quarter of the
    CPU of a busy service (docs/benchmarks.md).
    """
    gc.collect()
    gc.freeze()
