"""Distances between two laws, and how often couplings of them collide. Arrays in, arrays out.

Every public function takes NumPy arrays (or what converts: lists, tensors), checks that they hold laws, computes in
float64 and drops the axis of the law. The functions of :data:`KERNELS` skip the checks and work on NumPy arrays and
on PyTorch tensors alike, last axis only, so that a decoder can call them on its device.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.validate import as_array, check_known, check_laws, check_same_shape

FloatArray = npt.NDArray[np.float64]
COUPLINGS = ("independent", "maximal", "gumbel")


def _namespace(array: Any) -> Any:
    """``numpy`` or ``torch``: for the functions used here the two spell alike, ``axis`` included."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def _take_along(array: Any, order: Any) -> Any:
    return np.take_along_axis(array, order, -1) if isinstance(array, np.ndarray) else array.gather(-1, order)


def _total_variation(first: Any, second: Any) -> Any:
    return 0.5 * abs(first - second).sum(axis=-1)


def _entropy(law: Any) -> Any:
    xp = _namespace(law)
    return -(law * xp.log(xp.where(law > 0, law, xp.ones_like(law)))).sum(axis=-1)


def _renyi2_entropy(law: Any) -> Any:
    return -_namespace(law).log((law * law).sum(axis=-1))


def _collision_independent(first: Any, second: Any) -> Any:
    return (first * second).sum(axis=-1)


def _collision_maximal(first: Any, second: Any) -> Any:
    return _namespace(first).minimum(first, second).sum(axis=-1)


def _collision_gumbel(first: Any, second: Any) -> Any:
    xp = _namespace(first)
    one = xp.ones_like(first)
    ratio = xp.where(first > 0, second / xp.where(first > 0, first, one), one * np.inf)
    order = xp.argsort(ratio, axis=-1)
    first, second = _take_along(first, order), _take_along(second, order)
    first_up_to = xp.cumsum(first, axis=-1)
    second_after = second.sum(axis=-1)[..., None] - xp.cumsum(second, axis=-1)
    both = (first > 0) & (second > 0)
    first, second = xp.where(both, first, one), xp.where(both, second, one)
    wins = 1.0 / (first_up_to / first + second_after / second)
    return xp.where(both, wins, 0 * one).sum(axis=-1)


KERNELS: dict[str, Callable[..., Any]] = {
    "total_variation": _total_variation,
    "entropy": _entropy,
    "renyi2_entropy": _renyi2_entropy,
    "collision_independent": _collision_independent,
    "collision_maximal": _collision_maximal,
    "collision_gumbel": _collision_gumbel,
}
"""Unchecked functions of laws on the last axis, for NumPy arrays and PyTorch tensors."""


def _law(value: Any, name: str, axis: int) -> FloatArray:
    array = as_array(value, name)
    check_laws(array, name, axis)
    return np.moveaxis(array, axis, -1)


def _pair(p: Any, q: Any, axis: int) -> tuple[FloatArray, FloatArray]:
    first, second = _law(p, "p", axis), _law(q, "q", axis)
    check_same_shape(first, second, ("p", "q"))
    return first, second


def total_variation(p: Any, q: Any, axis: int = -1) -> FloatArray:
    """Total variation distance, ``1/2 sum_v |p_v - q_v|``; one minus it is the acceptance rate of MRS.

    Parameters
    ----------
    p, q : array_like
        Laws along ``axis``, of equal shapes.
    axis : int
        The vocabulary.

    Returns
    -------
    ndarray
        Shape of ``p`` without ``axis``, in [0, 1].

    Raises
    ------
    LawError
        If an entry is no probability, or a sum is away from one.
    InputError
        If the shapes differ.

    References
    ----------
    Leviathan, Kalman, Matias: ICML 2023, Theorem 3.5 (acceptance = 1 - TV).
    """
    return np.asarray(_total_variation(*_pair(p, q, axis)))


def entropy(p: Any, axis: int = -1) -> FloatArray:
    """Shannon entropy in nats, with ``0 ln 0 = 0``.

    Parameters
    ----------
    p : array_like
        Laws along ``axis``.
    axis : int
        The vocabulary.

    Raises
    ------
    LawError
        If ``p`` does not hold laws.

    References
    ----------
    Shannon: A mathematical theory of communication. Bell System Technical Journal 27, 1948, section 6.
    """
    return np.asarray(_entropy(_law(p, "p", axis)))


def renyi2_entropy(p: Any, axis: int = -1) -> FloatArray:
    """Renyi entropy of order two in nats, ``-ln sum_v p_v^2``.

    Parameters
    ----------
    p : array_like
        Laws along ``axis``.
    axis : int
        The vocabulary.

    Raises
    ------
    LawError
        If ``p`` does not hold laws.

    References
    ----------
    Renyi: On measures of entropy and information. Berkeley Symposium 4.1, 1961.
    """
    return np.asarray(_renyi2_entropy(_law(p, "p", axis)))


def collision_probability(p: Any, q: Any, coupling: str = "independent", axis: int = -1) -> FloatArray:
    """Probability that a draw from ``p`` and a draw from ``q`` are the same token, under a coupling of the two.

    Parameters
    ----------
    p, q : array_like
        Laws along ``axis``, of equal shapes.
    coupling : str
        ``"independent"``: ``sum_v p_v q_v``. ``"maximal"``: ``1 - TV``, attained by modified rejection sampling.
        ``"gumbel"``: the two draws share one vector of Gumbel noise,
        ``sum_i [sum_v max(p_v / p_i, q_v / q_i)]^-1`` over i with ``p_i, q_i > 0``, in O(V log V).
    axis : int
        The vocabulary.

    Returns
    -------
    ndarray
        Shape of ``p`` without ``axis``, in [0, 1].

    Raises
    ------
    LawError
        If ``p`` or ``q`` does not hold laws.
    UnknownNameError
        For another coupling.

    References
    ----------
    So et al.: arXiv:2510.24211. Daliri, Musco, Suresh: Coupling without communication and drafter-invariant speculative
    decoding, arXiv:2408.07978 (Gumbel sharing).
    """
    check_known(coupling, COUPLINGS, "coupling")
    return np.asarray(KERNELS[f"collision_{coupling}"](*_pair(p, q, axis)))


def collision_bound(p: Any, q: Any, coupling: str = "independent", axis: int = -1) -> FloatArray:
    """A bound on :func:`collision_probability` that needs less than both laws.

    Parameters
    ----------
    p, q : array_like
        Laws along ``axis``, of equal shapes.
    coupling : str
        ``"independent"``: an *upper* bound, ``exp(-(H2(p) + H2(q)) / 2)`` (Cauchy-Schwarz; equality iff p = q).
        ``"maximal"``: an *upper* bound for every coupling, ``1 - TV``. ``"gumbel"``: a *lower* bound,
        ``(1 - TV) / (1 + TV)``.
    axis : int
        The vocabulary.

    Raises
    ------
    LawError
        If ``p`` or ``q`` does not hold laws.
    UnknownNameError
        For another coupling.

    References
    ----------
    So et al.: arXiv:2510.24211. Lindvall: Lectures on the coupling method, 1992, Theorem I.5.2 (1 - TV). Bavarian et
    al.: Optimality of correlated sampling strategies, 2020 ((1 - TV) / (1 + TV)).
    """
    check_known(coupling, COUPLINGS, "coupling")
    first, second = _pair(p, q, axis)
    if coupling == "independent":
        return np.asarray(np.exp(-(_renyi2_entropy(first) + _renyi2_entropy(second)) / 2))
    tv = _total_variation(first, second)
    return np.asarray(1 - tv if coupling == "maximal" else (1 - tv) / (1 + tv))


def verified_law(draft_law: Any, acceptance: Any, replacement: Any) -> FloatArray:
    """Output law of one position: ``out(y) = d(y) a(y) + (1 - sum_x d(x) a(x)) r(y)``.

    Parameters
    ----------
    draft_law : array_like
        Float[..., V], the law d the draft really has.
    acceptance : array_like
        Float[..., V], the probability a(x) of accepting draft x.
    replacement : array_like
        Float[..., V], the law r of the token drawn after a rejection.

    Returns
    -------
    ndarray
        Float[..., V]; a rule is lossless at the position iff this is the target law.

    Raises
    ------
    LawError
        If ``draft_law`` or ``replacement`` does not hold laws.

    References
    ----------
    Leviathan, Kalman, Matias: ICML 2023, appendix A.1 (with a = min(1, p / q), r = norm((p - q)+), d = q: out = p).
    """
    drafts, other = _law(draft_law, "draft_law", -1), _law(replacement, "replacement", -1)
    kept = drafts * as_array(acceptance, "acceptance")
    return np.asarray(kept + (1 - kept.sum(-1, keepdims=True)) * other)
