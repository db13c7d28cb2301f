"""Draws from laws of a large vocabulary in two levels: a block of it, then an entry of the block."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reference.fast.compiling import compiled_where_large

BLOCK = 256
"""Entries a block of a law that is searched in two levels."""

LARGE = 2 * BLOCK
"""Vocabularies above this are read block by block."""


def block_sums(values: Tensor) -> Tensor:
    """Sums over blocks of :data:`BLOCK` entries: Float[..., V] -> Float[..., ceil(V / BLOCK)]."""
    return _by_block(values, lambda entries: entries.sum(-1))


def _by_block(values: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    whole = values.shape[-1] // BLOCK * BLOCK
    blocks = reduce(values[..., :whole].unflatten(-1, (-1, BLOCK)))
    if whole == values.shape[-1]:
        return blocks
    return torch.cat([blocks, reduce(values[..., whole:])[..., None]], dim=-1)


def read_block(values: Tensor, block: Tensor) -> Tensor:
    """Entries of one block of each row, zeros past the last: Float[..., V], Long[..., 1] -> Float[..., BLOCK]."""
    vocab_size = values.shape[-1]
    if vocab_size % BLOCK == 0:  # entries that lie side by side are read so
        rows = block[..., None].expand(*block.shape, BLOCK)
        return values.unflatten(-1, (-1, BLOCK)).gather(-2, rows)[..., 0, :]
    index = block * BLOCK + torch.arange(BLOCK, device=block.device)
    return torch.where(index < vocab_size, values.gather(-1, index.clamp(max=vocab_size - 1)), 0)


def search_blocks(sums: Tensor, uniform: Tensor, weights_in: Callable[[Tensor], Tensor]) -> Tensor:
    """Inverse CDF in two levels: find the block, then read its entries and find the index.

    Parameters
    ----------
    sums : Tensor
        Float[..., K], of :func:`block_sums`.
    uniform : Tensor
        Float64[...] in [0, 1).
    weights_in : callable
        Long[..., 1], a block of each row, to the weights in it, Float[..., BLOCK]; see :func:`read_block`.

    Returns
    -------
    Tensor
        Long[...], as of :func:`reference.draws.inverse_cdf`.
    """
    up_to = sums.double().cumsum(-1)
    threshold = (uniform * up_to[..., -1])[..., None]
    block = first_above(up_to, threshold)
    before = torch.where(block > 0, up_to.gather(-1, (block - 1).clamp(min=0)), 0.0)
    inside = weights_in(block).double()
    return (block * BLOCK + first_above(inside.cumsum(-1), threshold - before))[..., 0]


@compiled_where_large
def race_winner(probs: Tensor, race: Tensor) -> Tensor:
    """``argmax_v p(v) / e(v)``, the first if tied: Long[...].

    Parameters
    ----------
    probs, race : Tensor
        Float[..., V], laws, and :func:`reference.draws.exponentials`. A token of probability zero cannot win.
    """
    if probs.shape[-1] <= LARGE:
        return (probs / race).argmax(-1)
    block = _by_block(probs / race, lambda entries: entries.amax(-1)).argmax(-1, keepdim=True)
    index = (block * BLOCK + torch.arange(BLOCK, device=probs.device)).clamp(max=probs.shape[-1] - 1)
    winner = (probs.gather(-1, index) / race.gather(-1, index)).argmax(-1, keepdim=True)
    return index.gather(-1, winner)[..., 0]


def first_above(cumulative: Tensor, threshold: Tensor) -> Tensor:
    """First index at which Float[..., K] exceeds Float[..., 1]; rounding must not step past the last increase."""
    total = cumulative[..., -1:]
    threshold = torch.minimum(threshold, torch.nextafter(total, torch.zeros_like(total)))
    return (cumulative <= threshold).sum(-1, keepdim=True).clamp(max=cumulative.shape[-1] - 1)
