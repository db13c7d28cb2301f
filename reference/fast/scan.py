"""One pass over the two laws of every slot: what verification and the trace need of them.

Everything linear in the laws is a sum over blocks of the vocabulary, so one reading gives the residual's block sums
(:func:`reference.fast.blocks.search_blocks` then reads a single block) and the scalars of the trace beside them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from reference.draws import inverse_cdf
from reference.fast.blocks import LARGE, block_sums, read_block, search_blocks
from scd_analysis.laws import kernels

_CELL_BITS = 3  # 8 cells an octave
_LEAST, _MOST = -10, 4  # octaves of |log2(q / p)| that are told apart
_HALF = (_MOST - _LEAST) << _CELL_BITS
_MANTISSA_BITS, _SHORT_MANTISSA_BITS = 23, 7  # of float32 and bfloat16
_BITS_OF_ONE = 127 << _MANTISSA_BITS
_AT_ONCE = 2**19  # entries of a law on the host: its caches hold what is made of them, and no fresh memory is asked for


class LawScalars(NamedTuple):
    """Scalars of a slot's two laws, Float[..., L] each: of the trace, but for the Gumbel collision.

    Attributes
    ----------
    total_variation, collision_independent : Tensor
        Of target and draft.
    entropy, renyi2 : Tensor
        Of the target, in nats.
    """

    total_variation: Tensor
    collision_independent: Tensor
    entropy: Tensor
    renyi2: Tensor


def excess_sums(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """Block sums of ``(p - q)+``, Float[..., K]."""
    return block_sums(kernels.excess(target_probs, draft_probs))


def draw_excess(target_probs: Tensor, draft_probs: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``(p - q)+``, Float[..., K], and a draw in proportion to it, Long[...]."""
    if target_probs.shape[-1] <= LARGE:
        excess: Tensor = kernels.excess(target_probs, draft_probs)
        return excess.sum(-1, keepdim=True), inverse_cdf(excess, uniform)

    def excess_in(block: Tensor) -> Tensor:
        weights: Tensor = kernels.excess(read_block(target_probs, block), read_block(draft_probs, block))
        return weights

    sums = excess_sums(target_probs, draft_probs)
    return sums, search_blocks(sums, uniform, excess_in)


def law_scalars(target_probs: Tensor, draft_probs: Tensor, excess: Tensor | None = None) -> LawScalars:
    """The scalars of Float[..., V] laws.

    Parameters
    ----------
    target_probs, draft_probs : Tensor
        Float[..., V].
    excess : Tensor, optional
        Float[..., K], if :func:`excess_sums` was computed anyway: its total is the total variation.
    """
    excess = excess_sums(target_probs, draft_probs) if excess is None else excess
    return LawScalars(
        excess.sum(-1),
        block_sums(target_probs * draft_probs).sum(-1),
        -_neg_entropy(target_probs),
        -block_sums(target_probs * target_probs).sum(-1).log(),
    )


# log2(t) - (t - 1) for 1 <= t < 2, highest power first: least largest error of this degree, 9e-6 nats.
_LOG = (0.04487361, -0.41656369, 1.63114876, -3.55079292, 4.09171081, -1.80036403)
_PER_OCTAVE = 1 << _MANTISSA_BITS


def _neg_entropy(probs: Tensor) -> Tensor:
    """Sum of ``x ln x``; compiled, to 9e-6 nats, since exact logarithms take longer than the reading.

    A float's bits, read as an integer, are its logarithm but for the mantissa's curve, which a polynomial gives.
    """
    if probs.dtype != torch.float32 or not torch.compiler.is_compiling():
        return block_sums(probs.clamp(min=torch.finfo(probs.dtype).tiny).log_().mul_(probs)).sum(-1)
    bits = probs.view(torch.int32)
    mantissa = ((bits & (_PER_OCTAVE - 1)) | _BITS_OF_ONE).view(torch.float32)
    curve = mantissa * (_LOG[0] * _PER_OCTAVE) + _LOG[1] * _PER_OCTAVE
    for coefficient in _LOG[2:]:
        curve = curve * mantissa + coefficient * _PER_OCTAVE
    logs = (bits - _BITS_OF_ONE).to(torch.float32) + curve
    return block_sums(probs * logs).sum(-1) * (math.log(2) / _PER_OCTAVE)


def collision_gumbel(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """Probability that draws from two laws collide when they share Gumbel noise, Float[..., L].

    Up to :data:`LARGE` tokens, :func:`scd_analysis.laws.collision_probability`, which sorts. Above, tokens whose ratio
    ``q / p`` is nearly the same are taken as one token, which needs no sorting: linear in V.

    Parameters
    ----------
    target_probs, draft_probs : Tensor
        Float[..., L, V].

    Returns
    -------
    Tensor
        Merging errs upward, with at least 8 cells an octave of ``|log2(q / p)|``: by 1e-4 at most on the mean over
        laws, and by 3e-3 at most on any of the tests' 18,000, where two heavy tokens share a cell.
    """
    vocab_size = target_probs.shape[-1]
    if vocab_size <= LARGE:
        exact: Tensor = kernels.collision_gumbel(target_probs, draft_probs)
        return exact
    rows = max(1, _AT_ONCE // vocab_size) if target_probs.device.type == "cpu" else max(1, target_probs.numel())
    parts = zip(*(law.reshape(-1, vocab_size).split(rows) for law in (target_probs, draft_probs)), strict=True)
    return torch.cat([_collision_of_cells(*laws) for laws in parts]).view(target_probs.shape[:-1])


def _collision_of_cells(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    cell = _ratio_cell(target_probs, draft_probs)
    p, q = target_probs.new_zeros(2, *target_probs.shape[:-1], 2 * _HALF + 1)
    p.scatter_add_(-1, cell, target_probs)
    q.scatter_add_(-1, cell, draft_probs)
    q_up_to = q.cumsum(-1)
    q_after = (q_up_to[..., -1:] - q_up_to).clamp_(min=0)
    rate = p.cumsum(-1).mul_(q).addcmul_(q_after, p)  # both races: 1 / (p_up_to / p + q_after / q)
    return p.mul_(q).div_(rate.add_(torch.finfo(rate.dtype).tiny)).sum(-1)  # an empty cell is 0 / tiny


def _ratio_cell(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """Cell of ``q / p`` in ascending order, Long[..., V], evenly spaced in ``log|log2(q / p)|``, both logs by bits.

    A float's bits, read as an integer, are its logarithm but for the mantissa's curve; sixteen tell cells apart.
    """
    ratio = (draft_probs / target_probs).float().view(torch.int32)  # 0 / 0 goes anywhere: it weighs nothing
    bits = ratio.sub_(_BITS_OF_ONE).to(torch.bfloat16).view(torch.int16)
    falls = bits.bitwise_right_shift(15)  # -1 below one, else 0
    size = bits.bitwise_and_(0x7FFF).bitwise_right_shift_(_SHORT_MANTISSA_BITS - _CELL_BITS)
    distance = size.sub_((_LEAST + _MANTISSA_BITS + 127) << _CELL_BITS).clamp_(min=0, max=_HALF - 1)
    return distance.bitwise_xor_(falls).sub_(falls).add_(_HALF).long()  # negated where it falls
