"""Randomness as a function of what it is for: Philox-4x32-10, key = seed, counter = (sequence, position, purpose).

A draw depends on nothing else, so a sequence is the same whatever batch it is decoded in, and no noise needs storing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor

from reference.fast.blocks import LARGE, block_sums, first_above, read_block, search_blocks
from reference.fast.philox import philox, to_unit

GENERATOR = "Philox-4x32-10; counter = (sequence, position, 16 * iteration + purpose, block), key = seed"


class Purpose(IntEnum):
    """What a draw is for; part of its counter, so draws for different purposes are independent."""

    VERIFY = 0
    DRAFT = 1
    BONUS = 2
    INITIAL = 3
    RACE = 4


def uniform_pair(
    seed: int, purpose: Purpose, sequence: Tensor, position: Tensor, iteration: int | Tensor
) -> tuple[Tensor, Tensor]:
    """Two independent uniforms in [0, 1) for every position.

    Parameters
    ----------
    seed : int
        Of the run.
    purpose : Purpose
        What they are for.
    sequence, position : Tensor
        Broadcastable Long tensors.
    iteration : int or Tensor
        Jacobi iteration.

    Returns
    -------
    tuple of Tensor
        Float64, of the broadcast shape.
    """
    first, second = uniform_pairs(seed, (purpose,), sequence, position, iteration)[0]
    return first, second


def uniform_pairs(
    seed: int, purposes: Sequence[Purpose], sequence: Tensor, position: Tensor, iteration: int | Tensor
) -> list[tuple[Tensor, Tensor]]:
    """:func:`uniform_pair` for several purposes, in one run of the generator."""
    sequence, position = torch.broadcast_tensors(sequence, position)
    zero = torch.zeros_like(position)
    use = torch.stack([zero + 16 * iteration + int(purpose) for purpose in purposes])
    words = philox((sequence.expand_as(use), position.expand_as(use), use, zero.expand_as(use)), seed)
    first, second = to_unit(words[0], words[1]), to_unit(words[2], words[3])
    return list(zip(first.unbind(0), second.unbind(0), strict=True))


def exponentials(seed: int, sequence: Tensor, position: Tensor, vocab_size: int, dtype: torch.dtype) -> Tensor:
    """The race noise of a position: ``vocab_size`` standard exponentials, the same at every iteration.

    ``argmax_v p(v) / e(v)`` is the Gumbel-max draw with ``g = -ln e``. The uniform behind each has 53 bits
    for float64, 32 for any other type, spaced evenly from zero, where the variates that win races come from.

    Parameters
    ----------
    seed : int
        Of the run.
    sequence, position : Tensor
        Long[...], broadcastable.
    vocab_size : int
        V.
    dtype : torch.dtype
        Of the result.

    Returns
    -------
    Tensor
        [..., V], positive.
    """
    words = 2 if dtype == torch.float64 else 4  # variates a block of four words serves
    blocks = torch.arange(-(-vocab_size // words), device=position.device)
    zero = torch.zeros_like(blocks + position[..., None])
    counter = (zero + sequence[..., None], zero + position[..., None], zero + int(Purpose.RACE), zero + blocks)
    w = philox(counter, seed)
    if dtype == torch.float64:
        unit = torch.stack([to_unit(w[0], w[1]), to_unit(w[2], w[3])], dim=-1) + 2.0**-54
    else:
        unit = (torch.stack(w, dim=-1).double() + 0.5) * 2.0**-32  # in float32 some would round to 1
    return -torch.log1p(-unit.flatten(-2)[..., :vocab_size]).to(dtype)


def inverse_cdf(weights: Tensor, uniform: Tensor) -> Tensor:
    """Draw an index in proportion to ``weights`` with one uniform each.

    Parameters
    ----------
    weights : Tensor
        Float[..., V], nonnegative, of any positive total.
    uniform : Tensor
        Float64[...] in [0, 1).

    Returns
    -------
    Tensor
        Long[...], an index of positive weight; where the total is zero, an arbitrary index.
    """
    vocab_size = weights.shape[-1]
    if vocab_size <= LARGE:
        cumulative = weights.cumsum(-1)
        return first_above(cumulative, (uniform * cumulative[..., -1]).to(weights.dtype)[..., None])[..., 0]
    return search_blocks(block_sums(weights), uniform, lambda block: read_block(weights, block))
