"""Texts to vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from embedding.adapters.minilm import graph
from embedding.adapters.minilm.tokens import Tokens
from embedding.adapters.minilm.weights import DIMENSIONS, NAME, VERSION, folder, weights

Vectors = NDArray[np.float32]
BATCH_TOKENS = 1024
"""Word pieces that go through the network at once: more are no faster on one thread."""


class MiniLm:
    """all-MiniLM-L6-v2; the same text has the same vector (within 1e-6) in whatever company.

    Safe to use from many threads. Takes half a second and, for a moment, 300 MB to make.
    """

    name = NAME
    version = VERSION
    dimensions = DIMENSIONS

    def __init__(self, threads: int = 1) -> None:
        self._tokens = Tokens(folder() / "tokenizer.json")
        self._session = _session(threads)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, one row for each text; of a long text its first 256 word pieces."""
        pieces = self._tokens.of(texts)
        found = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for rows in _batches(list(map(len, pieces))):
            found[rows] = self._run([pieces[row] for row in rows])
        return found

    def says(self, text: str) -> bool:
        """Whether the model knows any piece of the text."""
        return self._tokens.says(text)

    def _run(self, pieces: Sequence[Sequence[int]]) -> Vectors:
        ids = np.zeros((len(pieces), max(map(len, pieces))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, own in enumerate(pieces):
            ids[row, : len(own)] = own
            mask[row, : len(own)] = 1
        (mean,) = self._session.run(["mean"], {"ids": ids, "mask": mask})
        vectors: Vectors = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return vectors


def _session(threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # every batch has another shape
    content = graph.network(weights()).SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows in order of length, so that little is padding."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[row] * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
