"""Factors that are fair against every law near the target's: the null of a decoder that is lossless up to epsilon.

The null is a ball, ``TV(Q, p) <= epsilon``, around every conditional law p. Of all factors whose mean is at most one
under every Q in it, the one that grows fastest when tokens have the law a is a ratio of two laws, ``a / p'``, p' the
law of the ball that is nearest to a [2]_. It is the ordinary ratio, clipped from both sides [1]_:
``a / p' = clip(a / p, low, high)``, where

    high = max over sets A of a(A) / (p(A) + epsilon),    low = min over sets A of a(A) / (p(A) - epsilon).

The worst law of the ball takes epsilon from where the factor is ``low`` and puts it where it is ``high``; that law is
p', so the factor's largest mean is one exactly. Where a is itself in the ball the factor is one: no bet. A token that
the target gives probability zero counts ``high``, and refutes nothing by itself.

For a set of tokens A alone the ball says ``p(A) - epsilon <= Q(A) <= p(A) + epsilon``, and nothing else: so a bet that
A comes too often is an ordinary one on a coin that shows A with probability ``p(A) + epsilon``
(:mod:`scd_analysis.evidence.coins`). Sets are what a total variation is made of, ``TV = max Q(A) - p(A)``: along one, a
departure of twice epsilon loses half its size, along a direction with a wide range it can lose all.

References
----------
.. [1] P. J. Huber (1965). A robust version of the probability ratio test. Ann. Math. Statist. 36(6), 1753-1758.
       doi:10.1214/aoms/1177699803
.. [2] P. Grunwald, R. de Heide, W. Koolen (2024). Safe testing. JRSS B 86(5), 1091-1128. doi:10.1093/jrsssb/qkae011
.. [3] A. Saha, A. Ramdas (2024). Huber-robust likelihood ratio tests for composite nulls and alternatives.
       arXiv:2408.14015
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Floats, Longs


def clips(alternative: Floats, target: Floats, epsilons: Floats) -> tuple[Floats, Floats]:
    """Return between which numbers the ratio of two laws is clipped to be fair over a ball.

    Parameters
    ----------
    alternative, target : Float[..., V]
        The law that is bet on, and the middle of the ball.
    epsilons : Float[E]
        Radii, above zero.

    Returns
    -------
    low, high : Float[..., E]
        Both one where the alternative lies in the ball.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        order = np.argsort(-alternative / target, axis=-1, kind="stable")  # 0 / 0 is last, and adds nothing
    bet, null = (np.take_along_axis(law, order, axis=-1) for law in (alternative, target))
    most, least = _cumulated(bet, null), _cumulated(bet[..., ::-1], null[..., ::-1])
    high, low = [], []
    for epsilon in np.asarray(epsilons, dtype=np.float64):
        high.append((most[0] / (most[1] + epsilon)).max(axis=-1))
        left = least[1] - epsilon
        ratio = np.divide(least[0], left, out=np.full(left.shape, np.inf), where=left > 0)
        low.append(ratio.min(axis=-1))
    return np.minimum(np.stack(low, axis=-1), 1), np.maximum(np.stack(high, axis=-1), 1)


def _cumulated(bet: Floats, null: Floats) -> tuple[Floats, Floats]:
    return np.cumsum(bet, axis=-1), np.cumsum(null, axis=-1)


def log_factors(alternative: Floats, target: Floats, tokens: Longs, epsilons: Floats) -> Floats:
    """Return ln of the fair factors of tokens.

    Parameters
    ----------
    alternative, target : Float[..., V]
        See :func:`clips`.
    tokens : Long[...]
        What came.
    epsilons : Float[E]
        Radii, above zero.

    Returns
    -------
    Float[..., E]
    """
    low, high = clips(alternative, target, epsilons)
    bet, null = (np.take_along_axis(law, tokens[..., None], axis=-1) for law in (alternative, target))
    ratio = np.divide(bet, null, out=np.full(null.shape, np.inf), where=null > 0)
    with np.errstate(divide="ignore"):  # the law that is bet on excludes what came
        return np.asarray(np.log(np.clip(ratio, low, high)))
