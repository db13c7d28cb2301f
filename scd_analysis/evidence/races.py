"""Races with the same noise: who wins the second, given who won the first.

A race for a law p is won by ``argmin_v e_v / p_v`` with standard exponentials e: the Gumbel-max draw. Given that token
a won a race for q at time m, every other exponential is ``q_v m`` plus a fresh one, and m is a standard exponential; so
the law of the winner of a second race for p with the same noise is a one-dimensional integral of a simple function.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Floats, Longs


def second_winner(law: Floats, first_law: Floats, first_winner: Longs) -> Floats:
    """Return the law of the second race's winner given the first's.

    With ``z_v = q_v / p_v`` and ``H(z) = sum_v p_v (z - z_v)+`` over v other than the first winner a,
    ``Pr[a] = 1 / (1 + H(z_a))`` and ``Pr[v] = int_{z_v}^{z_a} p_v / (1 + H)^2 dz``.

    Parameters
    ----------
    law, first_law : Float[..., V]
        p and q, of the second and the first race.
    first_winner : Long[...]
        a, with ``q_a > 0``.

    Returns
    -------
    Float[..., V]
        In O(V log V) a law.

    References
    ----------
    Daliri, Musco, Suresh: Coupling without communication and drafter-invariant speculative decoding, 2024
    (arXiv:2408.07978), where ``sum_a q_a Pr[a]`` is computed.
    """
    winner = first_winner[..., None]
    own = np.arange(law.shape[-1]) == winner
    rates = np.where(own, 0.0, law)
    with np.errstate(divide="ignore", invalid="ignore"):
        start = np.where(rates > 0, first_law / rates, np.inf)
        limit = np.take_along_axis(first_law / law, winner, axis=-1)  # infinite if the winner cannot win again
    order = np.argsort(start, axis=-1)
    opens = np.minimum(np.take_along_axis(start, order, axis=-1), limit)
    rate = np.take_along_axis(rates, order, axis=-1)
    slope = np.cumsum(rate, axis=-1)
    closes = np.concatenate([opens[..., 1:], limit], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        gained = np.where(slope > 0, slope * np.nan_to_num(closes - opens, nan=0.0, posinf=np.inf), 0.0)
        height = 1 + np.cumsum(gained, axis=-1)  # 1 + H at the end of each piece
        before = np.concatenate([np.ones_like(height[..., :1]), height[..., :-1]], axis=-1)
        piece = np.where(slope > 0, (1 / before - 1 / height) / slope, 0.0)
    after = np.cumsum(np.nan_to_num(piece)[..., ::-1], axis=-1)[..., ::-1]
    out = np.zeros_like(law)
    np.put_along_axis(out, order, rate * after, axis=-1)
    return np.where(own, 1 / height[..., -1:], out)
