"""A key-value cache for any network of ``transformers``, addressed by place; this file needs that library."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache

_ROLLS_BACK = {"DynamicLayer", "DynamicSlidingWindowLayer"}


class PlacedCache(Cache):  # type: ignore[misc] # transformers is untyped here
    """Keys and values of every layer at absolute places.

    The library's caches append at one length that all sequences share; here each row of a batch has places of its own,
    and an entry made from a rejected draft is overwritten by the next pass over its place.

    Parameters
    ----------
    length : int
        Places of a sequence.
    """

    def __init__(self, length: int) -> None:
        super().__init__(layers=[])
        self.length = length
        self.entries: dict[int, tuple[Tensor, Tensor]] = {}
        self.places: Tensor | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one layer's keys and values, Float[B, H, M, D], at ``places`` (Long[B, M]); returns all of them."""
        assert self.places is not None
        if layer_idx not in self.entries:
            shapes = ((*t.shape[:2], self.length, t.shape[-1]) for t in (key_states, value_states))
            made = [t.new_zeros(shape) for t, shape in zip((key_states, value_states), shapes, strict=True)]
            self.entries[layer_idx] = (made[0], made[1])
        index = self.places.to(key_states.device)[:, None, :, None]
        for kept, new in zip(self.entries[layer_idx], (key_states, value_states), strict=True):
            kept.scatter_(2, index.expand(-1, new.shape[1], -1, new.shape[3]), new)
        return self.entries[layer_idx]

    def select(self, index: Tensor) -> None:
        """Keep the rows ``index`` (Long[B']), with repetition."""
        for layer, (keys, values) in self.entries.items():
            at = index.to(keys.device)
            self.entries[layer] = (keys.index_select(0, at), values.index_select(0, at))


def rolls_back(config: Any) -> bool:
    """Whether all that a network keeps of the past is keys and values, so that overwriting is rolling back."""
    layers = DynamicCache(config=config).layers
    return {type(layer).__name__ for layer in layers} <= _ROLLS_BACK and not getattr(config, "attention_chunk_size", 0)


def attention_mask(config: Any, places: Tensor, length: int, dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
    """What each row may look at, as an additive mask: places up to its own, or the last few where attention slides.

    Parameters
    ----------
    config : PretrainedConfig
        Of the text network.
    places : Tensor
        Long[B, M].
    length : int
        Places of a sequence.
    dtype : torch.dtype
        Of the network.

    Returns
    -------
    Tensor or dict
        Float[B, 1, M, length], or one for each kind of layer where there are several kinds.
    """
    keys, own = torch.arange(length, device=places.device), places[:, None, :, None]
    low = torch.finfo(dtype).min

    def additive(seen: Tensor) -> Tensor:
        return torch.zeros((), dtype=dtype, device=places.device).masked_fill(~seen, low)

    full = additive(keys <= own)
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ()
    if window is None or (kinds and "sliding_attention" not in kinds):
        return full
    sliding = additive((keys <= own) & (keys > own - window))
    return {"full_attention": full, "sliding_attention": sliding} if kinds else sliding
