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
from reference.fast.blocks import LARGE, block_sums, search_blocks
from reference.fast.compiling import compiled_where_large
from scd_analysis.laws import KERNELS

_CELL_BITS = 3  # 8 cells an octave
_LEAST, _MOST = -10, 4  # octaves of |log2(q / p)| that are told apart
_HALF = (_MOST - _LEAST) << _CELL_BITS
_MANTISSA_BITS = 23


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
    return block_sums((target_probs - draft_probs).clamp_(min=0))


def draw_excess(target_probs: Tensor, draft_probs: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``(p - q)+``, Float[..., K], and a draw in proportion to it, Long[...]."""
    vocab_size = target_probs.shape[-1]
    if vocab_size <= LARGE:
        excess = (target_probs - draft_probs).clamp_(min=0)
        return excess.sum(-1, keepdim=True), inverse_cdf(excess, uniform)

    def excess_at(index: Tensor) -> Tensor:
        return (target_probs.gather(-1, index) - draft_probs.gather(-1, index)).clamp_(min=0)

    sums = excess_sums(target_probs, draft_probs)
    return sums, search_blocks(sums, uniform, vocab_size, excess_at)


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
        -block_sums(_times_log(target_probs)).sum(-1),
        -block_sums(target_probs * target_probs).sum(-1).log(),
    )


# ln(1 + m) / m for sqrt(1/2) <= 1 + m < sqrt(2), highest power first: least largest error of this degree, 1.5e-6.
_LOG = (-0.143198484, 0.22330078, -0.254724667, 0.33225872, -0.499850513, 1.00001278)


def _times_log(x: Tensor) -> Tensor:
    """``x ln x``, zero at zero; compiled, to 2e-6, since exact logarithms take longer than the reading."""
    if x.dtype != torch.float32 or not torch.compiler.is_compiling():
        return x.clamp(min=torch.finfo(x.dtype).tiny).log_().mul_(x)
    bits = x.view(torch.int32)
    exponent = (bits - 0x3F3504F3) >> _MANTISSA_BITS  # of x / sqrt(1/2)
    m = (bits - (exponent << _MANTISSA_BITS)).view(torch.float32) - 1
    poly = m * _LOG[0] + _LOG[1]
    for coefficient in _LOG[2:]:
        poly = poly * m + coefficient
    return x * (m * poly + exponent.to(torch.float32) * math.log(2))


@compiled_where_large
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
        Merging errs upward: there are 8 cells an octave of ``|log2(q / p)|``, which errs by less than 1e-3 on every
        law of the tests, and by 1e-5 on most.
    """
    if target_probs.shape[-1] <= LARGE:
        return KERNELS["collision_gumbel"](target_probs, draft_probs)
    cell = _ratio_cell(target_probs, draft_probs)
    empty = target_probs.new_zeros(*target_probs.shape[:-1], 2 * _HALF + 1)
    p, q = empty.scatter_add(-1, cell, target_probs), empty.scatter_add(-1, cell, draft_probs)
    p_up_to, q_from = p.cumsum(-1), q.flip(-1).cumsum(-1).flip(-1)
    rate = p_up_to * q + (q_from - q) * p  # a cell wins both races with probability 1 / (p_up_to / p + q_after / q)
    return (p * q / torch.where(rate > 0, rate, 1)).sum(-1)


def _ratio_cell(target_probs: Tensor, draft_probs: Tensor) -> Tensor:
    """Cell of ``q / p`` in ascending order, Long[..., V]; cells are evenly spaced in ``log|log2(q / p)|``."""
    bits = (draft_probs / target_probs).float().log2_().view(torch.int32)  # 0 / 0 goes anywhere: it weighs nothing
    falls = bits.bitwise_right_shift(31)  # -1 below zero, else 0
    size = bits.bitwise_and_(0x7FFFFFFF).bitwise_right_shift_(_MANTISSA_BITS - _CELL_BITS)
    distance = size.sub_((_LEAST + 127) << _CELL_BITS).clamp_(min=0, max=_HALF - 1)
    return distance.bitwise_xor_(falls).sub_(falls).add_(_HALF).long()  # negated where it falls
