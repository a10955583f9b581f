"""The model against the paper's formulas, in numpy and 64 bits."""

from __future__ import annotations

import random
import threading
from math import erf, sqrt
from typing import Any

import numpy as np
import pytest
from embedding.adapters.minilm.model import MiniLm
from embedding.adapters.minilm.tokens import MOST, Tokens
from embedding.adapters.minilm.weights import Weights, folder, weights
from numpy.typing import NDArray

Array = NDArray[np.float64]
TEXTS = [
    "I want to fly to Rome next week, are there any tickets?",
    "no",
    "",
    "😀",
    "😀 great film! 👍🏽",
    "Ich möchte nächste Woche nach Zürich fliegen.",
    "Хочу посмотреть смешной фильм",
    "来週ローマに行きたいです",
    "a" * 300,
    "word " * 500,
]


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm()


@pytest.fixture(scope="module")
def tensors() -> Weights:
    return weights()


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens(folder() / "tokenizer.json")


def test_equals_the_formulas(model: MiniLm, tensors: Weights, tokens: Tokens) -> None:
    for text, vector in zip(TEXTS, model.embed(TEXTS), strict=True):
        expected = reference(tensors, tokens.of([text])[0])
        assert float(vector.astype(np.float64) @ expected) > 0.999999
        assert np.abs(vector - expected).max() < 1e-5


def test_the_same_text_has_the_same_vector_in_any_company(model: MiniLm) -> None:
    rng = random.Random(1)
    words = ["the", "sea", "a", "cheap", "hotel", "in", "Rome", "please", "for", "my", "family"]
    texts = [" ".join(rng.choices(words, k=rng.randint(1, 240))) for _ in range(60)] + TEXTS
    alone = np.vstack([model.embed([text]) for text in texts])
    for _ in range(5):
        some = rng.sample(range(len(texts)), 25)
        together = model.embed([texts[row] for row in some])
        assert np.abs(together - alone[some]).max() <= 1e-6


def test_vectors_are_of_unit_length(model: MiniLm) -> None:
    vectors = model.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), model.dimensions)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_have_no_vectors(model: MiniLm) -> None:
    assert model.embed([]).shape == (0, model.dimensions)


def test_more_than_128_pieces_are_read_and_more_than_256_are_not(model: MiniLm) -> None:
    start = "plain words " * 70
    same, far = model.embed([start, start + "but the end is about penguins and ice"])
    assert float(same @ far) < 0.999
    whole, longer = model.embed(["plain words " * 127, "plain words " * 127 + "penguins " * 500])
    assert np.array_equal(whole, longer)


@pytest.mark.parametrize(
    "text",
    [
        "one two three " * 80_000,
        "a" * 1_000_000,
        " " * 999_990 + "a late word",
        "語" * 400_000,
        "x" * 4090 + " " + "unbelievably" * 8 + " end " * 3000,
    ],
    ids=["words", "one-word", "spaces", "no-spaces", "cut-inside-a-word"],
)
def test_a_long_text_is_cut_where_the_whole_would_be(tokens: Tokens, text: str) -> None:
    whole: Any = tokens._tokenizer.encode(text)
    pieces = whole.ids if len(whole.ids) <= MOST else [*whole.ids[: MOST - 1], whole.ids[-1]]
    assert tokens.of([text])[0] == pieces


@pytest.mark.parametrize(
    ("text", "says"), [("", False), ("  \n", False), ("hi", True), ("7", True)]
)
def test_says_whether_a_piece_is_known(model: MiniLm, text: str, says: bool) -> None:
    assert model.says(text) is says


def test_many_threads_get_the_vectors_of_one(model: MiniLm) -> None:
    expected = model.embed(TEXTS)
    wrong: list[float] = []

    def work() -> None:
        wrong.extend(float(np.abs(model.embed(TEXTS) - expected).max()) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 20
    assert max(wrong) <= 1e-6


def reference(tensors: Weights, ids: list[int]) -> Array:
    """The vector of one text, straight from Devlin et al. (2019)."""
    part = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    hidden = (
        part["embeddings.word_embeddings.weight"][ids]
        + part["embeddings.position_embeddings.weight"][: len(ids)]
        + part["embeddings.token_type_embeddings.weight"][0]
    )
    hidden = _norm(part, "embeddings.LayerNorm", hidden)
    for number in range(6):
        name = f"encoder.layer.{number}"
        mixed = _attention(part, f"{name}.attention.self", hidden)
        mixed = _dense(part, f"{name}.attention.output.dense", mixed)
        hidden = _norm(part, f"{name}.attention.output.LayerNorm", mixed + hidden)
        inner = _gelu(_dense(part, f"{name}.intermediate.dense", hidden))
        outer = _dense(part, f"{name}.output.dense", inner)
        hidden = _norm(part, f"{name}.output.LayerNorm", outer + hidden)
    mean = hidden.mean(axis=0)
    vector: Array = mean / np.linalg.norm(mean)
    return vector


def _attention(part: dict[str, Array], name: str, hidden: Array) -> Array:
    heads = []
    query, key, value = (
        _dense(part, f"{name}.{kind}", hidden) for kind in ("query", "key", "value")
    )
    for start in range(0, 384, 32):
        own = slice(start, start + 32)
        scores = query[:, own] @ key[:, own].T / sqrt(32)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(shares / shares.sum(axis=1, keepdims=True) @ value[:, own])
    return np.concatenate(heads, axis=1)


def _dense(part: dict[str, Array], name: str, hidden: Array) -> Array:
    product: Array = hidden @ part[f"{name}.weight"].T + part[f"{name}.bias"]
    return product


def _norm(part: dict[str, Array], name: str, hidden: Array) -> Array:
    centred = hidden - hidden.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
    normalised: Array = scaled * part[f"{name}.weight"] + part[f"{name}.bias"]
    return normalised


_erf = np.vectorize(erf)


def _gelu(hidden: Array) -> Array:
    activated: Array = hidden * 0.5 * (1 + _erf(hidden / sqrt(2)))
    return activated
