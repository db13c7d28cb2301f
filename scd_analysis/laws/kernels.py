"""Every formula on two laws, once: no checks, last axis, NumPy arrays and PyTorch tensors alike.

Write p for the target's law, q for the law that is declared for a draft. A decoder can call these on its device. What
is floating point only is written for arrays; :func:`excess` also takes sequences of any numbers.

References
----------
Leviathan, Kalman, Matias: ICML 2023, Theorem 1 and appendix A.1 (acceptance, residual, output law).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

RESIDUAL_FLOOR = 0.02
"""Floor under the residual, where it is floored by mistake: what the planted fault does, and what is bet on."""

TILT_CLIP = 4.0
"""A tilt multiplies no probability by more than this, nor by less than its inverse."""

_EMPTY = 1e-15
"""Mass of a residual of laws that are equal but for rounding."""


def _namespace(array: Any) -> Any:
    """``numpy`` or ``torch``: for the functions used here the two spell alike, ``axis`` included."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def _ascending(values: Any) -> Any:
    """Order of the last axis. On the host NumPy sorts the floats that it knows several times as fast as PyTorch."""
    xp = _namespace(values)
    known = xp is not np and type(values) is xp.Tensor and values.dtype in (xp.float32, xp.float64)
    if known and values.device.type == "cpu" and not values.requires_grad:
        return xp.from_numpy(np.argsort(values.numpy(), axis=-1))
    return xp.argsort(values, axis=-1)


def _take_along(array: Any, order: Any) -> Any:
    return np.take_along_axis(array, order, -1) if isinstance(array, np.ndarray) else array.gather(-1, order)


def total_variation(first: Any, second: Any) -> Any:
    """``1/2 sum_v |p_v - q_v|``."""
    return 0.5 * abs(first - second).sum(axis=-1)


def entropy(law: Any) -> Any:
    """Shannon entropy in nats."""
    xp = _namespace(law)
    return -(law * xp.log(xp.where(law > 0, law, xp.ones_like(law)))).sum(axis=-1)


def renyi2_entropy(law: Any) -> Any:
    """Renyi entropy of order two in nats."""
    return -_namespace(law).log((law * law).sum(axis=-1))


def collision_independent(first: Any, second: Any) -> Any:
    """Probability that two independent draws are the same token."""
    return (first * second).sum(axis=-1)


def collision_maximal(first: Any, second: Any) -> Any:
    """The same for draws that are the same as often as can be."""
    return _namespace(first).minimum(first, second).sum(axis=-1)


def collision_gumbel(first: Any, second: Any) -> Any:
    """The same for draws that share one vector of Gumbel noise, in O(V log V)."""
    xp = _namespace(first)
    with np.errstate(divide="ignore", invalid="ignore"):
        order = _ascending(second / first)  # 0 / 0 goes anywhere: it weighs nothing
    first, second = _take_along(first, order), _take_along(second, order)
    second_after = second.sum(axis=-1)[..., None] - xp.cumsum(second, axis=-1)
    rate = xp.cumsum(first, axis=-1) * second + second_after * first
    return (first * second / (rate + xp.finfo(rate.dtype).tiny)).sum(axis=-1)  # 0 / tiny where one is impossible


def acceptance(target_probs: Any, draft_probs: Any) -> Any:
    """Probability with which each token is accepted, ``min(1, p / q)``; one where q is zero."""
    xp = _namespace(target_probs)
    possible = draft_probs > 0
    return xp.where(possible, (target_probs / xp.where(possible, draft_probs, 1)).clip(max=1), 1)


def excess(target_probs: Any, draft_probs: Any) -> Any:
    """``(p - q)+``, the weights of the residual, of arrays or of sequences of numbers in any arithmetic."""
    if isinstance(target_probs, list | tuple):
        return [max(p - q, 0 * p) for p, q in zip(target_probs, draft_probs, strict=True)]
    gap = target_probs - draft_probs
    return np.maximum(gap, 0, out=gap) if isinstance(gap, np.ndarray) else gap.clamp_(min=0)


def residual(target_probs: Any, draft_probs: Any) -> Any:
    """``norm((p - q)+)``, the law that replaces a rejected draft; p where the laws are equal but for rounding."""
    xp, weights = _namespace(target_probs), excess(target_probs, draft_probs)
    mass = weights.sum(axis=-1, keepdims=True)
    return xp.where(mass > _EMPTY, weights / xp.where(mass > _EMPTY, mass, 1), target_probs)


def output_law(drawn_probs: Any, accept: Any, replacement: Any) -> Any:
    """``out(y) = d(y) a(y) + (1 - sum_x d(x) a(x)) r(y)``: p itself for d = q and MRS's acceptance and residual."""
    kept = drawn_probs * accept
    return kept + (1 - kept.sum(axis=-1, keepdims=True)) * replacement


def tilted(law: Any, earlier: Any, gamma: float = 1.0, clip: float = TILT_CLIP) -> Any:
    """A law tilted toward what rose since an earlier one, ``norm(p w)`` with ``w = (p / earlier)^gamma``, clipped."""
    xp = _namespace(law)
    possible = earlier > 0
    rise = xp.where(possible, law / xp.where(possible, earlier, 1), np.inf)
    weights = law * (rise**gamma).clip(1 / clip, clip)
    return weights / weights.sum(axis=-1, keepdims=True)
