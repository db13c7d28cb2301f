"""The tiny Llama as a file of llama.cpp, in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from scd_analysis.engines.tiny_shape import SPECIAL, Shape, Weights
from scd_analysis.errors import InputError

OF_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
ROTATED = ("q_proj", "k_proj")
NORMAL, UNKNOWN, CONTROL = 1, 2, 3
"""Kinds of tokens."""


def write_gguf(path: Path, shape: Shape, weights: Weights) -> None:
    """Write one file.

    Raises
    ------
    InputError
        If the package ``gguf`` is not installed.
    """
    try:
        from gguf import GGUFWriter
    except ModuleNotFoundError as error:
        raise InputError(f"formats: 'gguf' needs {error.name}; install scd-analysis[engines]") from None
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.inner)
    writer.add_block_count(shape.layers)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocab_size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(shape.words())
    writer.add_token_scores([0.0] * shape.vocab_size)
    writer.add_token_types([UNKNOWN, CONTROL, CONTROL] + [NORMAL] * (shape.vocab_size - len(SPECIAL)))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    for name, value in weights.items():
        rotated = name.split(".")[-2] in ROTATED
        writer.add_tensor(_named(name), interleaved(value, shape.heads) if rotated else value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _named(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in WHOLE:
        return f"{WHOLE[stem]}.weight"
    _, _, layer, own = stem.split(".", 3)
    return f"blk.{layer}.{OF_LAYER[own]}.weight"


def interleaved(matrix: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Order rows of a query or key matrix as llama.cpp rotates them: pairs lie side by side, not half a head apart."""
    rows, columns = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
