"""Tiny networks as target models, shared by the tests of what ``transformers`` provides."""

import torch

from reference import HuggingFaceModel, Processors
from reference.models.hf_layouts import get_layout
from studies import tiny_networks as tiny

CPU = torch.device("cpu")
PROMPT, OTHER = [0, 7, 5, 9, 3], [0, 8, 3]  # of different lengths: each prompt has places of its own
PROCESSED = Processors(temperature=0.8, top_k=7, top_p=0.9)
FAMILIES = ("llama", "anole", "lumina-mgpt", "janus", "emu3")
NETWORK_OF = {"anole": "chameleon", "lumina-mgpt": "chameleon"}


def make_networks():
    """One network a family; both Chameleon layouts have one of their own."""
    return {family: tiny.NETWORKS[NETWORK_OF.get(family, family)]() for family in FAMILIES}


def make(networks, family, guidance=1.0, processors=None, **settings):
    sizes = {"num_tokens": 12} if family == "llama" else {"height": 4, "width": 4}
    layout = get_layout("text" if family == "llama" else family, networks[family].config, **sizes)
    negative = None if family == "janus" else settings.pop("negative_prompt", OTHER)  # generate blanks Janus's itself
    return HuggingFaceModel(
        networks[family],
        layout,
        PROMPT,
        negative_prompt=negative,
        guidance=guidance,
        processors=processors,
        **settings,
    )


def distance(a, b):
    return float((a - b).abs().max())
