"""The network as an ONNX graph in 32 bits, built from the weights.

A BERT encoder (Devlin et al., "BERT", 2019): embeddings, then layers of self-attention and of a
feed-forward part, each added to its input and normalised; at the end the mean over the tokens, as
sentence-transformers pools this model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from embedding.adapters.minilm.weights import DIMENSIONS, NAME, Weights

LAYERS, HEADS, WIDTH = 6, 12, DIMENSIONS
HEAD = WIDTH // HEADS
EPSILON = 1e-12
OPSET = 20
IR_VERSION = 10


def network(weights: Weights) -> ModelProto:
    """``ids`` and ``mask`` (int64, texts by tokens) to ``mean`` (float32, texts by ``WIDTH``)."""
    drawn = _Drawing(weights)
    hidden = drawn.embeddings()
    for number in range(LAYERS):
        hidden = drawn.layer(f"encoder.layer.{number}", hidden)
    drawn.mean(hidden)
    return drawn.model()


class _Drawing:
    """Nodes and constants so far; a method draws one part and returns the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._split = self._shape("split", [0, 0, HEADS, HEAD])
        self._joined = self._shape("joined", [0, 0, WIDTH])

    def embeddings(self) -> str:
        """Word, position and (always the first) token type, added and normalised."""
        words = self._weight("embeddings.word_embeddings.weight")
        places = self._weights["embeddings.position_embeddings.weight"]
        kinds = self._weights["embeddings.token_type_embeddings.weight"]
        table = self._constant("places", places + kinds[0])
        shape = self._node("Shape", ["ids"], start=1, end=2)
        upto = self._node("Slice", [table, self._shape("from", [0]), shape, self._shape("of", [0])])
        added = self._node("Add", [self._node("Gather", [words, "ids"]), upto])
        self._hide_padding()
        return self._normalised("embeddings.LayerNorm", added)

    def layer(self, name: str, hidden: str) -> str:
        """One layer of the encoder."""
        attended = self._attention(f"{name}.attention", hidden)
        inner = self._dense(f"{name}.intermediate.dense", attended)
        outer = self._dense(f"{name}.output.dense", self._node("Gelu", [inner]))
        added = self._node("Add", [outer, attended])
        return self._normalised(f"{name}.output.LayerNorm", added)

    def mean(self, hidden: str) -> None:
        """The mean over the tokens that are no padding."""
        mask = self._node("Cast", ["mask"], to=TensorProto.FLOAT)
        row = self._node("Unsqueeze", [mask, self._shape("row", [1])])
        total = self._node("Squeeze", [self._node("MatMul", [row, hidden]), "row"])
        count = self._node("ReduceSum", [mask, "row"], keepdims=1)
        self._node("Div", [total, count], output="mean")

    def model(self) -> ModelProto:
        """Everything drawn, as one model."""
        both = ["texts", "tokens"]
        inputs = [_tensor(name, TensorProto.INT64, both) for name in ("ids", "mask")]
        graph = helper.make_graph(
            self._nodes,
            NAME,
            inputs,
            [_tensor("mean", TensorProto.FLOAT, ["texts", WIDTH])],
            self._constants,
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)

    def _hide_padding(self) -> None:
        """What is added to the attention: nothing to tokens, the least number to padding."""
        mask = self._node("Cast", ["mask"], to=TensorProto.BOOL)
        spread = self._node("Unsqueeze", [mask, self._shape("spread", [1, 2])])
        least = self._constant("least", np.array(np.finfo(np.float32).min))
        self._node("Where", [spread, self._constant("zero", np.array(0.0)), least], output="hidden")

    def _attention(self, name: str, hidden: str) -> str:
        """Scaled dot products between the tokens of one text, in ``HEADS`` heads."""
        query, key, value = (self._heads(f"{name}.self.{part}", hidden, part) for part in _PARTS)
        scores = self._node("MatMul", [query, key])
        shares = self._node("Softmax", [self._node("Add", [scores, "hidden"])], axis=-1)
        mixed = self._node("Transpose", [self._node("MatMul", [shares, value])], perm=[0, 2, 1, 3])
        joined = self._node("Reshape", [mixed, self._joined])
        added = self._node("Add", [self._dense(f"{name}.output.dense", joined), hidden])
        return self._normalised(f"{name}.output.LayerNorm", added)

    def _heads(self, name: str, hidden: str, part: str) -> str:
        scale = HEAD**-0.5 if part == "query" else 1.0
        split = self._node("Reshape", [self._dense(name, hidden, scale), self._split])
        return self._node("Transpose", [split], perm=_PARTS[part])

    def _dense(self, name: str, hidden: str, scale: float = 1.0) -> str:
        weight = self._constant(f"{name}.weight", self._weights[f"{name}.weight"].T * scale)
        bias = self._constant(f"{name}.bias", self._weights[f"{name}.bias"] * scale)
        return self._node("Add", [self._node("MatMul", [hidden, weight]), bias])

    def _normalised(self, name: str, hidden: str) -> str:
        parts = [self._weight(f"{name}.weight"), self._weight(f"{name}.bias")]
        return self._node("LayerNormalization", [hidden, *parts], axis=-1, epsilon=EPSILON)

    def _weight(self, name: str) -> str:
        return self._constant(name, self._weights[name])

    def _constant(self, name: str, value: NDArray[np.floating]) -> str:
        tensor = np.ascontiguousarray(value, dtype=np.float32)
        self._constants.append(numpy_helper.from_array(tensor, name))
        return name

    def _shape(self, name: str, value: list[int]) -> str:
        self._constants.append(numpy_helper.from_array(np.array(value, dtype=np.int64), name))
        return name

    def _node(
        self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any
    ) -> str:
        output = output or f"{kind}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


# Where the axes (text, token, head, width) go: queries meet keys, shares of attention meet values.
_PARTS = {"query": [0, 2, 1, 3], "key": [0, 2, 3, 1], "value": [0, 2, 1, 3]}


def _tensor(name: str, kind: int, shape: Sequence[str | int]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)
