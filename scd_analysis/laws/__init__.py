"""Distances between two laws, and how often couplings of them collide. Arrays in, arrays out.

Every public function takes NumPy arrays (or what converts: lists, tensors), checks that they hold laws, computes in
float64 and drops the axis of the law. The formulas are in :mod:`scd_analysis.laws.kernels`, without the checks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.laws import kernels
from scd_analysis.validate import as_array, as_laws, check_known, check_same_shape

FloatArray = npt.NDArray[np.float64]
COUPLINGS = {
    "independent": kernels.collision_independent,
    "maximal": kernels.collision_maximal,
    "gumbel": kernels.collision_gumbel,
}
"""Couplings of two draws, and how often they collide."""


def _law(value: Any, name: str, axis: int) -> FloatArray:
    return np.moveaxis(as_laws(value, name, axis), axis, -1)


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
    return np.asarray(kernels.total_variation(*_pair(p, q, axis)))


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
    return np.asarray(kernels.entropy(_law(p, "p", axis)))


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
    return np.asarray(kernels.renyi2_entropy(_law(p, "p", axis)))


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
    return np.asarray(COUPLINGS[coupling](*_pair(p, q, axis)))


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
        return np.asarray(np.exp(-(kernels.renyi2_entropy(first) + kernels.renyi2_entropy(second)) / 2))
    tv = kernels.total_variation(first, second)
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
    return np.asarray(kernels.output_law(drafts, as_array(acceptance, "acceptance"), other))
