"""The shipped image and video models: a token transformer, its classes, and the way from tokens back to pixels."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from reference.models.base import TargetModel
from reference.models.processors import GuidedModel, ProcessedModel, Processors
from reference.models.transformer import KVCache, TokenTransformer, TransformerConfig
from scd_analysis.errors import InputError
from scd_analysis.validate import check_known, check_tokens

SHIPPED = ("digits", "photos", "video")


class ImageModel:
    """A raster of tokens, conditional on a class or on none.

    Of a video, the rasters of its frames in turn: a line of its ``grid`` is a frame, so that what lies above a token is
    the same place one frame before.

    Parameters
    ----------
    net : TokenTransformer
        The network, in evaluation mode.
    card : dict
        What is known of the model: classes, bits a token held out, data, licence.
    codebook : Tensor or None
        Float[V, P], the pixels of every code; None where tokens are grey levels.
    condition : str or None
        A class of the card, or None for the null class.
    """

    def __init__(
        self, net: TokenTransformer, card: dict[str, Any], codebook: Tensor | None, condition: str | None = None
    ) -> None:
        classes = [str(c) for c in card["classes"]]
        if condition is not None:
            check_known(condition, classes, "condition")
        self.net, self.card, self.codebook, self.condition = net, card, codebook, condition
        self.class_index = len(classes) if condition is None else classes.index(condition)
        self.vocab_size, self.num_tokens = net.config.vocab_size, net.config.num_tokens
        frames, height, width = net.config.frames, net.config.height, net.config.width
        self.grid: tuple[int, int] | None = (height, width) if frames == 1 else (frames, height * width)
        self.name = str(card["model"])

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.net.cos.device

    def given(self, condition: str | None) -> ImageModel:
        """The same network under another condition."""
        return ImageModel(self.net, self.card, self.codebook, condition)

    def to(self, device: torch.device | str) -> ImageModel:
        """Move the network; returns the model itself."""
        self.net.to(device)
        return self

    def _classes(self, batch: int) -> Tensor:
        return torch.full((batch,), self.class_index, device=self.net.cos.device)

    @torch.inference_mode()
    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Law of every next token: Long[B, t] -> Float32[B, t + 1, V], ``t < num_tokens``.

        Raises
        ------
        InputError
            For a token outside the vocabulary, or too many of them.
        """
        batch, length = tokens.shape
        if length >= self.num_tokens:
            raise InputError(f"tokens has shape {tuple(tokens.shape)}: expected [B, t] with t < {self.num_tokens}")
        check_tokens(tokens.cpu().numpy(), self.vocab_size, "tokens")
        padded = torch.zeros(batch, self.num_tokens, dtype=torch.long, device=self.net.cos.device)
        padded[:, :length] = tokens
        logits: Tensor = self.net(padded, self._classes(batch), length + 1)
        return logits.softmax(-1)

    def open_session(self, num_sequences: int, device: torch.device) -> _CachedSession:
        """Start a batch with a key-value cache."""
        self.net.to(device)
        return _CachedSession(self, num_sequences, device)

    def to_pixels(self, tokens: Tensor) -> Tensor:
        """Images of complete sequences: Long[B, N] -> Float[B, H, W, 3], in [0, 1]; frames lie side by side."""
        config = self.net.config
        frames, height, width = config.frames, config.height, config.width
        if self.codebook is None:
            levels = tokens.float() / (self.vocab_size - 1)
            return levels.view(len(tokens), height, width, 1).expand(-1, -1, -1, 3)
        patch = int(self.card["patch"])
        pixels = self.codebook[tokens.cpu()].view(len(tokens), frames, height, width, patch, patch, 3)
        strip = pixels.permute(0, 2, 4, 1, 3, 5, 6)  # row, row in a patch, frame, column, column in a patch
        return strip.reshape(len(tokens), height * patch, frames * width * patch, 3).clamp(0, 1)


class _CachedSession:
    replayable = True

    def __init__(self, model: ImageModel, num_sequences: int, device: torch.device) -> None:
        self.net = model.net
        self.classes = model._classes(num_sequences)
        self.cache = KVCache(model.net.config, num_sequences, device, model.net.head.weight.dtype)

    @torch.inference_mode()
    def laws(self, tokens: Tensor, rows: Tensor, reach: int) -> Tensor:
        """See :class:`reference.models.base.Session`."""
        return self.net.forward_window(tokens, self.classes, rows, self.cache).softmax(-1)

    def keep(self, index: Tensor) -> None:
        """See :class:`reference.models.base.Session`."""
        self.cache.select(index)
        self.classes = self.classes[index]


def load_image_model(name: str, condition: str | None = None) -> ImageModel:
    """Read a shipped model from the package.

    Raises
    ------
    UnknownNameError
        Listing the shipped models, or the classes of the model.
    """
    check_known(name, SHIPPED, "name")
    with as_file(files("reference.models") / "weights" / f"{name}.safetensors") as path, safe_open(path, "pt") as file:
        card = json.loads(file.metadata()["card"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 -- not a dictionary
    codebook = tensors.pop("codebook", None)
    net = TokenTransformer(TransformerConfig(**card["config"]))
    net.load_state_dict({key.removeprefix("net."): value.float() for key, value in tensors.items()})
    return ImageModel(net.eval().requires_grad_(False), card, codebook, condition)


def load_model(
    name: str,
    condition: str | None = None,
    *,
    guidance: float = 1.0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> TargetModel:
    """A shipped model by name, with its logit processors.

    Parameters
    ----------
    name : str
        ``"digits"``, ``"photos"`` or ``"video"``.
    condition : str, optional
        A class of the model; None is the null class.
    guidance : float
        Scale of classifier-free guidance; needs a ``condition``.
    temperature, top_k, top_p
        See :class:`reference.models.processors.Processors`.

    Returns
    -------
    TargetModel
        Whose laws include all of these.

    Raises
    ------
    UnknownNameError
        Listing what exists.
    InputError
        For a processor out of range, or guidance without a condition.
    """
    image_model = load_image_model(name, condition)
    model: TargetModel = image_model
    if guidance != 1:
        if condition is None:
            raise InputError(
                f"guidance = {guidance}: needs a condition; known: {', '.join(image_model.card['classes'])}"
            )
        model = GuidedModel(image_model, image_model.given(None), guidance)
    processors = Processors(temperature, top_k, top_p)
    return model if processors == Processors() else ProcessedModel(model, processors)
