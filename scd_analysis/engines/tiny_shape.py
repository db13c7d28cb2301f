"""Sizes of the tiny Llama, and its weights by the names that transformers gives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Weights = dict[str, npt.NDArray[np.float32]]

SPECIAL = ("<unk>", "<s>", "</s>")
"""Tokens 0, 1 and 2: unknown, beginning and end."""


@dataclass(frozen=True)
class Shape:
    """How large it is.

    Attributes
    ----------
    vocab_size : int
        V.
    width, inner : int
        Of the residual stream, and within a feed-forward layer.
    layers, heads : int
    context : int
        Tokens at most.
    epsilon, rope_base : float
        Of normalisation, and of rotary positions.
    """

    vocab_size: int
    width: int = 64
    inner: int = 128
    layers: int = 2
    heads: int = 4
    context: int = 512
    epsilon: float = 1e-5
    rope_base: float = 10_000.0

    def words(self) -> list[str]:
        """Text of every token, V of them."""
        return [*SPECIAL, *(f"w{i}" for i in range(len(SPECIAL), self.vocab_size))]

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Shapes of all matrices, as they multiply from the left."""
        square, up, down = (self.width, self.width), (self.inner, self.width), (self.width, self.inner)
        found = {"model.embed_tokens.weight": (self.vocab_size, self.width)}
        for i in range(self.layers):
            layer = f"model.layers.{i}"
            found |= {f"{layer}.self_attn.{name}_proj.weight": square for name in "qkvo"}
            found |= {f"{layer}.mlp.gate_proj.weight": up, f"{layer}.mlp.up_proj.weight": up}
            found[f"{layer}.mlp.down_proj.weight"] = down
        return found | {"lm_head.weight": (self.vocab_size, self.width)}

    def norms(self) -> list[str]:
        """Names of all vectors of normalisation."""
        of_layers = [
            f"model.layers.{i}.{name}.weight"
            for i in range(self.layers)
            for name in ("input_layernorm", "post_attention_layernorm")
        ]
        return [*of_layers, "model.norm.weight"]
