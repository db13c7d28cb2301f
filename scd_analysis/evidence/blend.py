"""Bets on stated alternatives: the null law blended with a companion law, by fixed shares.

Where a fault is exactly what a companion law says, the blend with its share grows as fast as any bet can (Kelly 1956);
nothing is learned, so nothing is paid for learning, and which companion wins says which fault it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.halves import Halves

SHARES = (0.02, 0.1, 0.35, 0.7, 0.95)
"""Close enough that no share in between grows much slower than its own bet would."""


@dataclass(frozen=True)
class Alternative:
    """A law that is bet on by itself.

    Attributes
    ----------
    name, message : str
        As in the names of arms, and what it means that it wins.
    key : hashable
        Of the companion law in the batch, or of a token in its context (Long[S, N], -1 where there is none) that is
        taken for certain.
    only : hashable or None
        Of a flag in the context (Bool[S, N]): bet on only where it is set.
    """

    name: str
    message: str
    key: Hashable
    only: Hashable = None


class Blend:
    """Bet ``1 - w + w c(x) / p(x)`` on every token, one arm a companion c and share w.

    Parameters
    ----------
    alternatives : sequence of Alternative
    shares : tuple of float
        The grid of w, below one, so that no bet loses everything.
    """

    def __init__(self, alternatives: Sequence[Alternative], shares: tuple[float, ...] = SHARES) -> None:
        self._alternatives, self._shares = tuple(alternatives), np.asarray(shares)
        self._halves = Halves(len(self.arms))

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each companion and share."""
        return tuple(f"blend:{one.name}:{share:g}" for one in self._alternatives for share in self._shares)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token; a companion that the batch lacks is the null law itself."""
        growth = np.concatenate([self._growth(batch, one) for one in self._alternatives], axis=1)
        for arm in range(growth.shape[1] if batch.rows is not None else 0):
            self._halves.add(arm, growth[:, arm], batch.rows)
        return growth

    def _growth(self, batch: Batch, one: Alternative) -> Floats:
        if one.key in batch.companions:
            companion = np.take_along_axis(batch.companions[one.key], batch.tokens[..., None], axis=-1)[..., 0]
        elif one.key in batch.context:
            token = batch.context[one.key]
            companion = np.where(token >= 0, token == batch.tokens, batch.token_probs)
        else:
            return np.zeros((len(batch), len(self._shares)))
        ratio = np.maximum(companion, 0) / batch.token_probs  # rounding makes a law negative where it is zero
        if one.only is not None:
            ratio = np.where(batch.context[one.only], ratio, 1)
        return np.asarray(np.log1p(self._shares * (ratio[..., None] - 1)).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say what the companion stands for."""
        return self._alternatives[arm // len(self._shares)].message

    def where(self, arm: int) -> str:
        """Say in which half of every batch; empty where in both."""
        return self._halves.where(arm, above=True)
