"""The contract of a bettor, and the two sums that every bettor needs.

A bettor owns one or more *arms*. Each arm is an e-process: at every token it holds a law that depends on strictly
earlier data only (earlier sequences; earlier tokens of the same sequence), and its wealth is multiplied by that law's
probability of the token over the target's. Under the null each factor has conditional mean one, so wealth is a
nonnegative martingale from one and ``Pr[sup wealth >= 1/alpha] <= alpha`` [1]_.

A new bettor is one file with one class that has ``arms``, ``bet`` and ``describe``, and one line in ``catalogue.py``.

References
----------
.. [1] J. Ville (1939). Etude critique de la notion de collectif. Gauthier-Villars.
.. [2] I. Waudby-Smith, A. Ramdas (2024). Estimating means of bounded random variables by betting. JRSS B 86(1), 1-27.
       doi:10.1093/jrsssb/qkad009
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.pieces import OfLaws


class Bettor(Protocol):
    """A family of predictable bets against the target."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each arm; the names are part of the record of an audit."""

    def bet(self, batch: Batch) -> Floats:
        """Return Float[S, arms], each arm's growth of ln wealth (nats) over each sequence, then learn from the batch.

        Row s depends on the batch's sequences up to and including s, and the bet behind it on strictly earlier tokens.
        """

    def describe(self, arm: int) -> str:
        """Say in words what it means that this arm wins."""


@runtime_checkable
class Located(Protocol):
    """A bettor that tells in which rows of their batches it wins."""

    def where(self, arm: int) -> str:
        """Say in which; empty where in all."""


@runtime_checkable
class Looking(Protocol):
    """A bettor that says which numbers of laws it will ask for, so that they are read together with others'."""

    @property
    def looks_at(self) -> tuple[OfLaws, ...]:
        """What it asks for; what it leaves out is read when it bets."""


def earlier_occurrences(items: Longs) -> Longs:
    """Count, for each item, the equal ones before it.

    Parameters
    ----------
    items : Long[T]

    Returns
    -------
    Long[T]
    """
    order = np.argsort(items, kind="stable")
    ordered = items[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    run_start = np.repeat(starts, np.diff(np.r_[starts, len(items)]))
    out = np.empty(len(items), dtype=np.int64)
    out[order] = np.arange(len(items)) - run_start
    return out


def before(increments: Floats, start: Floats | float) -> Floats:
    """Return the running sum over axis 0 *before* each row, beginning at ``start``."""
    return start + np.cumsum(increments, axis=0) - increments
