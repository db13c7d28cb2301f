"""Randomness as a function of what it is for: Philox-4x32-10, key = seed, counter = (sequence, position, purpose).

A draw depends on nothing else, so a sequence is the same whatever batch it is decoded in, and no noise needs storing.

References
----------
Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor

from reference.fast.blocks import LARGE, block_sums, first_above, search_blocks

GENERATOR = "Philox-4x32-10; counter = (sequence, position, 16 * iteration + purpose, block), key = seed"

_LOW = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


class Purpose(IntEnum):
    """What a draw is for; part of its counter, so draws for different purposes are independent."""

    VERIFY = 0
    DRAFT = 1
    BONUS = 2
    INITIAL = 3
    RACE = 4


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four 32-bit words for every counter, each held in an int64.

    Parameters
    ----------
    counter : tuple of Tensor
        Four broadcastable Long tensors with values in ``[0, 2**32)``.
    seed : int
        The key; its lowest 64 bits are used.
    """
    words = torch.broadcast_tensors(*counter)
    device, ones = words[0].device, (1,) * words[0].ndim
    half = torch.arange(2, device=device).view(2, *ones)  # both halves of a round in one operation

    def pair(first: int, second: int) -> Tensor:
        return first + half * (second - first)

    turn = torch.arange(_ROUNDS, device=device).view(_ROUNDS, 1, *ones)
    keys = (pair(seed & _LOW, (seed >> 32) & _LOW) + turn * pair(*_WEYL)).bitwise_and_(_LOW)
    multiplier = pair(*_MULTIPLIERS)
    even, odd = torch.stack([words[0], words[2]]), torch.stack([words[1], words[3]])
    for key in keys.unbind(0):
        product = (even * multiplier).flip(0)  # int64 wraps: the 64 bits are the right ones
        even = (product >> 32).bitwise_and_(_LOW).bitwise_xor_(odd).bitwise_xor_(key)
        odd = product.bitwise_and_(_LOW)
    return even[0], odd[0], even[1], odd[1]


def _unit(high: Tensor, low: Tensor) -> Tensor:
    """53 random bits as a float64 in [0, 1)."""
    return ((high << 21) | (low >> 11)).double() * 2.0**-53


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
    zero = torch.zeros_like(position)
    words = philox(
        (
            torch.stack([sequence + zero] * len(purposes)),
            torch.stack([position] * len(purposes)),
            torch.stack([zero + 16 * iteration + int(purpose) for purpose in purposes]),
            torch.zeros((), dtype=torch.long, device=position.device),
        ),
        seed,
    )
    first, second = _unit(words[0], words[1]), _unit(words[2], words[3])
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
        unit = torch.stack([_unit(w[0], w[1]), _unit(w[2], w[3])], dim=-1) + 2.0**-54
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
    return search_blocks(block_sums(weights), uniform, vocab_size, lambda index: weights.gather(-1, index))
