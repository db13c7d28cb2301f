"""The tiny Llama as a folder of OpenVINO: a graph in float32 whose keys and values are its state.

Inputs and outputs are those that OpenVINO GenAI looks for: ``input_ids``, ``attention_mask``, ``position_ids`` and
``beam_idx`` to ``logits``. Token ids go in and come out, but a draft model is not taken without a tokenizer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis.engines.tiny_hf import tokenizer
from scd_analysis.engines.tiny_shape import Shape, Weights
from scd_analysis.errors import InputError

INPUTS = {
    "input_ids": (2, np.int64),
    "attention_mask": (2, np.int64),
    "position_ids": (2, np.int64),
    "beam_idx": (1, np.int32),
}
"""Number of dimensions, and type."""


def write_openvino(folder: Path, shape: Shape, weights: Weights) -> None:
    """Write the graph, the tokenizer and the configuration.

    Raises
    ------
    InputError
        If ``openvino``, ``openvino_tokenizers`` or ``transformers`` is not installed.
    """
    try:
        import openvino
        import openvino_tokenizers
        from openvino import opset13
    except ModuleNotFoundError as error:
        raise InputError(f"formats: 'openvino' needs {error.name}; install scd-analysis[openvino,hf]") from None
    model = Graph(openvino, opset13, shape, weights).model()
    to_ids, to_text = openvino_tokenizers.convert_tokenizer(tokenizer(shape), with_detokenizer=True)
    folder.mkdir(parents=True)
    for name, graph in (("model", model), ("tokenizer", to_ids), ("detokenizer", to_text)):
        openvino.save_model(graph, folder / f"openvino_{name}.xml", compress_to_fp16=False)

    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": shape.vocab_size}))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2}))


class Graph:
    """The network in OpenVINO's operations.

    ::

        input_ids [B, T] -> x [B, T, width] -> per layer: x + attention(norm(x)), x + feed_forward(norm(x)) -> logits

    Keys and values of all tokens before, [B, heads, past, size], are the state.
    """

    def __init__(self, openvino: Any, ops: Any, shape: Shape, weights: Weights) -> None:
        self._openvino, self._ops, self._shape, self._weights = openvino, ops, shape, weights
        self._kept: list[Any] = []
        self._inputs = {name: self._input(name, *what) for name, what in INPUTS.items()}
        self._cos, self._sin, self._mask = self._rotation(ops.cos), self._rotation(ops.sin), self._causal()

    def model(self) -> Any:
        """Return the ``openvino.Model``."""
        ops = self._ops
        x = ops.gather(self._matrix("model.embed_tokens"), self._inputs["input_ids"], self._whole(0))
        for i in range(self._shape.layers):
            layer = f"model.layers.{i}"
            x = ops.add(x, self._attention(self._norm(x, f"{layer}.input_layernorm"), f"{layer}.self_attn"))
            x = ops.add(x, self._feed_forward(self._norm(x, f"{layer}.post_attention_layernorm"), f"{layer}.mlp"))
        logits = ops.result(self._times(self._norm(x, "model.norm"), "lm_head"))
        logits.output(0).set_names({"logits"})
        return self._openvino.Model([logits], self._kept, list(self._inputs.values()), "tiny")

    def _input(self, name: str, dims: int, kind: Any) -> Any:
        found = self._ops.parameter([-1] * dims, self._openvino.Type(kind), name=name)
        found.output(0).set_names({name})
        return found

    def _whole(self, value: Any) -> Any:
        return self._ops.constant(np.array(value, dtype=np.int64))

    def _real(self, value: Any) -> Any:
        return self._ops.constant(np.array(value, dtype=np.float32))

    def _matrix(self, name: str) -> Any:
        return self._real(self._weights[f"{name}.weight"])

    def _times(self, x: Any, name: str) -> Any:
        return self._ops.matmul(x, self._matrix(name), False, True)

    def _norm(self, x: Any, name: str) -> Any:
        ops = self._ops
        mean = ops.reduce_mean(ops.power(x, self._real(2.0)), self._whole([-1]), True)
        scale = ops.divide(self._real(1.0), ops.sqrt(ops.add(mean, self._real(self._shape.epsilon))))
        return ops.multiply(self._matrix(name), ops.multiply(x, scale))

    def _feed_forward(self, x: Any, name: str) -> Any:
        ops = self._ops
        gate = ops.swish(self._times(x, f"{name}.gate_proj"))
        return self._times(ops.multiply(gate, self._times(x, f"{name}.up_proj")), f"{name}.down_proj")

    def _attention(self, x: Any, name: str) -> Any:
        ops, heads = self._ops, self._shape.heads
        q, k, v = (self._in_heads(self._times(x, f"{name}.{which}_proj")) for which in "qkv")
        keys = self._with_past(self._rotated(k), f"{name}.key")
        values = self._with_past(v, f"{name}.value")
        size = self._shape.width // heads
        found = ops.scaled_dot_product_attention(self._rotated(q), keys, values, self._mask, self._real(size**-0.5))
        whole = ops.reshape(ops.transpose(found, self._whole([0, 2, 1, 3])), self._whole([0, 0, -1]), True)
        return self._times(whole, f"{name}.o_proj")

    def _in_heads(self, x: Any) -> Any:
        """[B, T, width] -> [B, heads, T, size]."""
        ops, heads = self._ops, self._shape.heads
        parts = ops.reshape(x, self._whole([0, 0, heads, self._shape.width // heads]), True)
        return ops.transpose(parts, self._whole([0, 2, 1, 3]))

    def _with_past(self, new: Any, name: str) -> Any:
        """Take the state, which beams order anew, and add what is new."""
        ops, shape = self._ops, self._shape
        size = shape.width // shape.heads
        many = ops.gather(ops.shape_of(self._inputs["input_ids"]), self._whole([0]), self._whole(0))
        empty = ops.broadcast(self._real(0.0), ops.concat([many, self._whole([shape.heads, 0, size])], 0))
        kept = self._openvino.PartialShape([-1, shape.heads, -1, size])
        past = ops.read_value(empty, name, self._openvino.Type.f32, kept)
        chosen = ops.gather(past, self._inputs["beam_idx"], self._whole(0))
        whole = ops.concat([chosen, new], 2)
        self._kept.append(ops.assign(whole, name))
        return whole

    def _rotation(self, function: Any) -> Any:
        """Cosine or sine of every angle, [B, 1, T, size]."""
        ops, size = self._ops, self._shape.width // self._shape.heads
        rates = self._shape.rope_base ** -(np.arange(0, size, 2) / size)
        places = ops.unsqueeze(ops.convert(self._inputs["position_ids"], "f32"), self._whole([1, 3]))
        half = ops.multiply(places, self._real(rates[None, None, None]))
        return function(ops.concat([half, half], 3))

    def _rotated(self, x: Any) -> Any:
        """Turn pairs that lie half a head apart."""
        ops = self._ops
        first, second = ops.split(x, self._whole(3), 2).outputs()
        crossed = ops.concat([ops.negative(second), first], 3)
        return ops.add(ops.multiply(x, self._cos), ops.multiply(crossed, self._sin))

    def _causal(self) -> Any:
        """What is added to scores, [B, 1, T, past + T]: no token sees a later one, or padding."""
        ops, seen = self._ops, self._inputs["attention_mask"]
        total = ops.gather(ops.shape_of(seen), self._whole(1), self._whole(0))
        columns = ops.range(self._whole(0), total, self._whole(1), "i64")
        new = ops.gather(ops.shape_of(self._inputs["input_ids"]), self._whole(1), self._whole(0))
        rows = ops.unsqueeze(ops.range(ops.subtract(total, new), total, self._whole(1), "i64"), self._whole(1))
        past = ops.unsqueeze(ops.less_equal(columns, rows), self._whole([0, 1]))
        real = ops.unsqueeze(ops.greater(seen, self._whole(0)), self._whole([1, 2]))
        return ops.select(ops.logical_and(past, real), self._real(0.0), self._real(np.finfo(np.float32).min))
