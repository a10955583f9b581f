"""How the algebra library under numpy works in this process."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def one_thread() -> None:
    """Call after numpy was imported.

    Our products of matrices are small and many: more threads than one only wait for each other, ten
    times longer (docs/benchmarks.md).
    """
    threadpool_limits(limits=1, user_api="blas")
