"""The generator: Philox-4x32-10, a function of a counter and a key.

References
----------
Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LOW = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


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


def to_unit(high: Tensor, low: Tensor) -> Tensor:
    """53 random bits as a float64 in [0, 1)."""
    return ((high << 21) | (low >> 11)).double() * 2.0**-53
