"""Networks of ``transformers``: loading them, and reading logits from each kind. The library is imported on first use.

A reader has two halves: ``states`` runs the network over ids, ``logits`` turns the states of the wanted rows into
scores of the token values. So a head is applied to few rows, and kinds whose own ``forward`` will not do are served:
Chameleon's forbids image tokens, Janus's knows no image codes.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from reference.models.hf_layouts import Layout
from scd_analysis.errors import InputError
from scd_analysis.validate import check_known

ARCHITECTURES = {
    "causal-lm": "AutoModelForCausalLM",
    "chameleon": "ChameleonForConditionalGeneration",
    "janus": "JanusForConditionalGeneration",
    "emu3": "Emu3ForConditionalGeneration",
}
"""Classes that :func:`load_network` makes; by default a configuration's own kind, else a causal language model."""


_DEVICES = ("cpu", "cuda", "mps", "xpu")


def transformers() -> Any:
    """The library.

    Raises
    ------
    InputError
        Saying how to install it.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError:
        raise InputError("transformers is not installed: pip install 'scd-analysis[hf]'") from None


def load_network(source: str | Path, architecture: str | None = None, **options: Any) -> Any:
    """Weights from a folder or from the hub, in evaluation mode.

    Parameters
    ----------
    source : str or path
        What ``from_pretrained`` takes.
    architecture : str, optional
        One of :data:`ARCHITECTURES`, where the configuration does not say it.
    **options
        For ``from_pretrained``: ``dtype``, ``device_map``, ``revision``, ``quantization_config`` ...

    Raises
    ------
    UnknownNameError
        For another architecture.
    InputError
        If the library is missing, or finds no such weights.
    """
    library = transformers()
    if architecture is not None:
        check_known(architecture, ARCHITECTURES, "architecture")
    place = options.get("device_map")
    # One device needs no accelerate, which the library asks for at any device_map.
    alone = isinstance(place, str) and place.split(":")[0] in _DEVICES and find_spec("accelerate") is None
    if alone:
        del options["device_map"]
    try:
        kind = architecture or str(library.AutoConfig.from_pretrained(source).model_type)
        loader = getattr(library, ARCHITECTURES.get(kind, ARCHITECTURES["causal-lm"]))
        network = loader.from_pretrained(source, attn_implementation="sdpa", **options).eval()
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"source = {str(source)!r}: {str(error).splitlines()[0]}") from None
    return network.to(place) if alone else network


def encode(source: str | Path, prompt: str, *, special: bool = True) -> list[int]:
    """Ids of a prompt by the tokenizer beside the weights, with its start token where it adds one."""
    ids = transformers().AutoTokenizer.from_pretrained(source)(prompt, add_special_tokens=special)["input_ids"]
    return [int(i) for i in ids]


class Reader(Protocol):
    """Logits of token values from ids."""

    def states(self, ids: Tensor, is_token: Tensor, **options: Any) -> Tensor:
        """Run the network: Long[B, M], Bool[B, M] -> Float[B, M, D]."""

    def logits(self, states: Tensor) -> Tensor:
        """Scores of the token values: Float[..., D] -> Float[..., V]."""


class _Picks:
    """Columns of the vocabulary, in the order of the token values."""

    def __init__(self, layout: Layout, vocab_size: int) -> None:
        whole = isinstance(layout.token_ids, range) and layout.token_ids == range(vocab_size)
        self.token_ids = None if whole else layout.token_ids
        self.columns: Tensor | None = None

    def __call__(self, scores: Tensor) -> Tensor:
        if self.token_ids is None:
            return scores
        if self.columns is None or self.columns.device != scores.device:
            self.columns = torch.tensor(self.token_ids, device=scores.device)
        return scores.index_select(-1, self.columns)


class _Whole:
    """Any causal language model: its ``forward`` gives logits."""

    def __init__(self, network: Any, layout: Layout) -> None:
        self.network, self.pick = network, _Picks(layout, _vocab_size(network))

    def states(self, ids: Tensor, is_token: Tensor, **options: Any) -> Tensor:
        """See :class:`Reader`; the states are logits."""
        states: Tensor = self.network(input_ids=ids, **options).logits
        return states

    def logits(self, states: Tensor) -> Tensor:
        """See :class:`Reader`."""
        return self.pick(states)


class _Split:
    """Chameleon and Emu3: the body, then the head without what ``forward`` forbids."""

    def __init__(self, network: Any, layout: Layout) -> None:
        self.network, self.pick = network, _Picks(layout, _vocab_size(network))

    def states(self, ids: Tensor, is_token: Tensor, **options: Any) -> Tensor:
        """See :class:`Reader`."""
        states: Tensor = self.network.model(input_ids=ids, **options)[0]
        return states

    def logits(self, states: Tensor) -> Tensor:
        """See :class:`Reader`."""
        return self.pick(self.network.lm_head(states))


class _Janus:
    """Janus: codes have embeddings and a head of their own."""

    def __init__(self, network: Any, layout: Layout) -> None:
        self.network = network

    def states(self, ids: Tensor, is_token: Tensor, **options: Any) -> Tensor:
        """See :class:`Reader`."""
        words = self.network.get_input_embeddings()(ids.masked_fill(is_token, 0))
        codes = self.network.prepare_embeddings_for_image_generation(ids.masked_fill(~is_token, 0))
        embedded = torch.where(is_token[..., None].to(words.device), codes.to(words.device), words)
        states: Tensor = self.network.model.language_model(inputs_embeds=embedded, **options)[0]
        return states

    def logits(self, states: Tensor) -> Tensor:
        """See :class:`Reader`."""
        scores: Tensor = self.network.model.generation_head(states)
        return scores


def _vocab_size(network: Any) -> int:
    return int(network.config.get_text_config().vocab_size)


def get_reader(network: Any, layout: Layout) -> Reader:
    """The reader of a network.

    Raises
    ------
    InputError
        If the layout has ids that the network does not know, or the network attends in a way that takes no mask.
    """
    kind = str(network.config.model_type)
    if layout.separate != (kind == "janus" and layout.grid is not None):
        raise InputError(f"layout: separate = {layout.separate} does not go with a network of kind {kind!r}")
    vocab_size = int(network.config.vq_config.num_embeddings) if layout.separate else _vocab_size(network)
    if min(layout.token_ids) < 0 or max(layout.token_ids) >= vocab_size:
        raise InputError(f"layout.token_ids reach {max(layout.token_ids)}: the network has {vocab_size} ids")
    attention = network.config.get_text_config()._attn_implementation
    if attention not in ("sdpa", "eager"):
        raise InputError(f"attention = {attention!r}: load the network with attn_implementation='sdpa' or 'eager'")
    if layout.separate:
        return _Janus(network, layout)
    if kind in ("chameleon", "emu3") and len(layout.token_ids) < vocab_size:
        return _Split(network, layout)
    return _Whole(network, layout)


def takes_places(network: Any) -> bool:
    """Whether a window can be asked for at chosen places; else a session makes full passes."""
    from reference.models.hf_cache import rolls_back

    config = network.config.get_text_config()
    stateful = bool(getattr(network, "_is_stateful", False)) or bool(getattr(config, "alibi", False))
    known = {"position_ids", "past_key_values"} <= set(inspect.signature(network.forward).parameters)
    return known and not stateful and rolls_back(config)


def default_negative(network: Any, layout: Layout, prompt: Sequence[int]) -> list[int]:
    """The negative prompt that the network's own ``generate`` takes where none is given.

    Janus blanks the prompt but for its start and the start of image, which ends it; Lumina-mGPT keeps the image's
    header alone; else it is the last id of the prompt.
    """
    if layout.before:
        return []
    if not layout.separate:
        return list(prompt[-1:])
    settings = network.generation_config
    if settings.pad_token_id is None:
        raise InputError("negative_prompt = None: the generation settings have no pad_token_id; give one")
    extra = getattr(settings, "generation_kwargs", None) or {}
    kept = {settings.bos_token_id, extra.get("boi_token_id", prompt[-1] if prompt else None)}
    return [i if i in kept else int(settings.pad_token_id) for i in prompt]


def input_device(network: Any) -> torch.device:
    """Where ids go in; weights that ``device_map`` has put away are on no device of their own."""
    module = network.get_input_embeddings()
    place = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    return torch.device(module.weight.device if place is None else place)
