"""Races with the same noise: who wins the second, given who won the first.

A race for a law p is won by ``argmin_v e_v / p_v`` with standard exponentials e: the Gumbel-max draw. Given that token
a won a race for q at time m, every other exponential is ``q_v m`` plus a fresh one, and m is a standard exponential; so
the law of the winner of a second race for p with the same noise is a one-dimensional integral of a simple function.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Floats, Longs

_AT_ONCE = 2**15
"""Entries of a law: what is made of them stays in the cache of a core."""


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
    vocab_size, out = law.shape[-1], np.empty(law.shape)
    laws, first_laws, filled = (array.reshape(-1, vocab_size) for array in (law, first_law, out))
    winners, rows = first_winner.reshape(-1), max(1, _AT_ONCE // vocab_size)
    for start in range(0, len(laws), rows):
        some = slice(start, start + rows)
        filled[some] = _second_winner(laws[some], first_laws[some], winners[some])
    return out


def _second_winner(law: Floats, first_law: Floats, winner: Longs) -> Floats:
    """As :func:`second_winner`, Float[n, V] and Long[n]."""
    row = np.arange(len(law))
    rates = law.copy()
    rates[row, winner] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        start = first_law / rates
        start[rates <= 0] = np.inf
        limit = (first_law[row, winner] / law[row, winner])[:, None]  # infinite if the winner cannot win again
        order = np.argsort(start, axis=-1) + row[:, None] * law.shape[1]
        opens, rate = np.minimum(start.take(order), limit), rates.take(order)
        slope = np.cumsum(rate, axis=-1)
        gained = slope * np.diff(opens, axis=-1, append=limit)
        gained[np.isnan(gained) | (slope <= 0)] = 0
        inverse = 1 / (1 + np.cumsum(gained, axis=-1))  # 1 / (1 + H) at the end of each piece
        piece = -np.diff(inverse, axis=-1, prepend=1.0) / slope
    piece[slope <= 0] = 0
    out = np.empty_like(law)
    out.put(order, rate * np.cumsum(piece[:, ::-1], axis=-1)[:, ::-1])
    out[row, winner] = inverse[:, -1]
    return out
