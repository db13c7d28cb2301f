"""Tiny random networks of the real classes, for what can be tried without weights: a Llama, Chameleon, Janus and Emu3.

Weights are large enough for laws to be peaked and to depend on the whole prefix; the names in the vocabularies are
those of the released tokenizers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from reference.models.hf_networks import transformers

CODES = 24
"""Image codes of each image generator."""

_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.25,
}


def _make(class_name: str, config: Any, seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return getattr(transformers(), class_name)(config).eval().requires_grad_(False)


def _configuration(class_name: str, **settings: Any) -> Any:
    return getattr(transformers(), class_name)(**settings)


def llama(seed: int = 0, vocab_size: int = 11) -> Any:
    """A language model; id 0 starts a text and id 1 ends it."""
    config = _configuration(
        "LlamaConfig",
        vocab_size=vocab_size,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        **_SIZES,
    )
    return _make("LlamaForCausalLM", config, seed)


def wide_llama(seed: int = 0) -> Any:
    """Width 512 and eight layers: large enough for half precision to round one way in a window, another in a token."""
    sizes = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 8}
    config = _configuration(
        "LlamaConfig", vocab_size=256, max_position_embeddings=512, initializer_range=0.04, bos_token_id=0, **sizes
    )
    return _make("LlamaForCausalLM", config, seed)


def chameleon(seed: int = 0) -> Any:
    """Codes have ids 4 ... 27, in an order that is not the codebook's; sizes up to 64 tokens, as in Lumina-mGPT."""
    letters = str.maketrans("0123456789", "ABCDEFGHIJ")
    words = {f"IMGIMG{str(code).translate(letters)}Z": 4 + (5 * code) % CODES for code in range(CODES)}
    words |= {"<s>": 0, "<image>": 3, "<eoss>": 28, "<racm3:break>": 29}
    words |= {f"<reserved{8799 + k:05d}>": 30 + k for k in range(34)}
    config = _configuration(
        "ChameleonConfig",
        vocab_size=80,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        vocabulary_map=words,
        vq_config={"num_embeddings": CODES, **_vq()},
        **_SIZES,
    )
    return _make("ChameleonForConditionalGeneration", config, seed)


def janus(seed: int = 0, side: int = 4) -> Any:
    """Images of ``side`` by ``side`` codes; id 3 starts an image."""
    text = _configuration(
        "LlamaConfig", vocab_size=40, max_position_embeddings=512, bos_token_id=0, eos_token_id=1, **_SIZES
    )
    vision = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 8 * side,
        "patch_size": 8,
        "projection_dim": 32,
        "num_image_tokens": side * side,
    }
    quantizer = {
        "num_embeddings": CODES,
        "projection_dim": 32,
        "image_token_embed_dim": 32,
        "initializer_range": 0.25,
        **_vq(),
    }
    config = _configuration(
        "JanusConfig",
        text_config=text,
        vision_config=vision,
        vq_config=quantizer,
        image_token_id=4,
        initializer_range=0.25,
    )
    network = _make("JanusForConditionalGeneration", config, seed)
    settings = network.generation_config
    settings.bos_token_id, settings.eos_token_id, settings.pad_token_id = 0, 1, 2
    settings.generation_kwargs = {"boi_token_id": 3}
    return network


def emu3(seed: int = 0) -> Any:
    """Codes have ids 50 ... 73; the ids of row, frame and image ends are 40, 41 and 42."""
    words = {f"<|visual token {code:06d}|>": 50 + code for code in range(CODES)}
    words |= {"<image>": 3, "<|extra_200|>": 40, "<|extra_201|>": 41, "<|image end|>": 42, "<|image start|>": 43}
    text = {
        "vocab_size": 80,
        "max_position_embeddings": 1024,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
        **_SIZES,
    }
    quantizer = {"codebook_size": CODES, "hidden_size": 16, "attn_resolutions": [], **_vq(), "embed_dim": 4}
    config = _configuration("Emu3Config", text_config=text, vq_config=quantizer, vocabulary_map=words)
    return _make("Emu3ForConditionalGeneration", config, seed)


def _vq() -> dict[str, Any]:
    """The image tokenizer, which decoding does not use."""
    return {
        "embed_dim": 8,
        "latent_channels": 8,
        "base_channels": 32,
        "channel_multiplier": [1],
        "num_res_blocks": 1,
    }


NETWORKS: dict[str, Callable[..., Any]] = {"llama": llama, "chameleon": chameleon, "janus": janus, "emu3": emu3}
"""By name; each takes a seed."""
