"""The tiny Llama as a folder of transformers, with a tokenizer of whole words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scd_analysis.common.quiet import quiet
from scd_analysis.engines.tiny_shape import SPECIAL, Shape, Weights
from scd_analysis.errors import InputError


def write_hf(folder: Path, shape: Shape, weights: Weights) -> None:
    """Write ``config.json``, ``model.safetensors`` and the tokenizer.

    Raises
    ------
    InputError
        If transformers is not installed.
    """
    try:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM
    except ModuleNotFoundError as error:
        raise InputError(f"formats: 'hf' needs {error.name}; install scd-analysis[hf]") from None
    config = LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.epsilon,
        rope_theta=shape.rope_base,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    with quiet():
        model.save_pretrained(folder)
    tokenizer(shape).save_pretrained(folder)


def tokenizer(shape: Shape) -> Any:
    """Return a tokenizer of whole words, between spaces."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(shape.words())}
    whole = Tokenizer(WordLevel(words, unk_token=SPECIAL[0]))
    whole.pre_tokenizer = Whitespace()
    names = dict(zip(("unk_token", "bos_token", "eos_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=whole, **names)
