"""The model in threads: a lane for each kind of work, so that none waits for another.

Within a lane, texts that come at once go through the model together. What was embedded a moment
ago is remembered: people greet alike, and models repeat themselves.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Protocol

import numpy as np
from contracts.telemetry import EMBEDDING_SECONDS, TEXTS_EMBEDDED
from numpy.typing import NDArray
from runtime.batching import Batching
from runtime.deadline import Deadline
from runtime.metrics import counter, histogram
from runtime.tasks import Background

from embedding.domain import SERVICE
from embedding.domain.models import Vector
from embedding.domain.recent import Recent

AT_ONCE = 32
"""Texts that go through the model at once: a tenth of a second to a second of work."""
REMEMBERED = 8192
"""Texts whose vectors are kept, of 1.5 kB each."""
LOWEST = 19


class Model(Protocol):
    """A model that computes where it is called. Safe to be called from many threads."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1, one row for each text."""

    def says(self, text: str) -> bool:
        """Whether the model knows anything of the text."""


class Lane:
    """An embedder with a thread of its own; ``idle``: it works when nobody else wants to."""

    def __init__(self, name: str, model: str, load: Callable[[], Model], *, idle: bool) -> None:
        self.model = model
        self._name = name
        self._load = load
        self._known: Recent[bytes, Vector | None] = Recent(REMEMBERED)
        self._batching = Batching(self._together, most=AT_ONCE)
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix=f"embed {name}", initializer=_stand_back if idle else None
        )

    async def embed(self, kind: str, texts: Sequence[str]) -> Sequence[Vector | None]:
        """Vectors, from memory where they are known."""
        keys = [sha256(text.encode()).digest() for text in texts]
        # What is known now may be forgotten while the rest waits for its turn at the model.
        found = {key: self._known[key] for key in keys if key in self._known}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        made = await asyncio.gather(*map(self._batching, new.values()))
        found |= dict(zip(new, made, strict=True))
        for key, vector in found.items():
            self._known[key] = vector
        counter(TEXTS_EMBEDDED).labels(SERVICE, kind).inc(len(new))
        return [found[key] for key in keys]

    async def close(self) -> None:
        """End the thread after the batch at hand."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _together(self, texts: Sequence[str]) -> Sequence[Vector | None]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._computed, texts)

    def _computed(self, texts: Sequence[str]) -> Sequence[Vector | None]:
        model = self._load()
        begun = time.perf_counter()
        spoken = [text for text in texts if _plain(text) or model.says(text)]
        vectors = dict(zip(spoken, model.embed(spoken), strict=True))
        took = time.perf_counter() - begun
        histogram(EMBEDDING_SECONDS).labels(SERVICE, self._name).observe(took)
        return [vectors.get(text) for text in texts]


class Lanes:
    """A model that is loaded once, in the background, and the lanes that share it."""

    def __init__(self, model: str, load: Callable[[], Model]) -> None:
        self._name = model
        self._loading = threading.Lock()
        self._load = load
        self._model: Model | None = None
        self._lanes: list[Lane] = []
        self._warming = Background(f"{SERVICE} model", self._warm)

    def lane(self, name: str, *, idle: bool = False) -> Lane:
        """A new lane."""
        lane = Lane(name, self._name, self._loaded, idle=idle)
        self._lanes.append(lane)
        return lane

    async def start(self) -> None:
        """Begin to load; who needs the model before it is there waits in its own thread.

        A model that cannot be loaded ends the process.
        """
        await self._warming.start()

    async def stop(self, deadline: Deadline) -> None:
        """End all lanes."""
        await self._warming.stop(deadline)
        for lane in self._lanes:
            await lane.close()

    async def ready(self) -> bool:
        """Whether the model is loaded."""
        return self._model is not None

    async def _warm(self, _: asyncio.Event) -> None:
        await asyncio.to_thread(self._loaded)

    def _loaded(self) -> Model:
        with self._loading:
            if self._model is None:
                self._model = self._load()
            return self._model


def _plain(text: str) -> bool:
    """Whether a text has a letter or digit that every vocabulary has."""
    return any(char.isascii() and char.isalnum() for char in text)


def _stand_back() -> None:
    """Give this thread the least claim to the processor; only Linux has one for each thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
