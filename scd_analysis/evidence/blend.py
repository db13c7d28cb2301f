"""Bets on stated alternatives: the null law blended with a companion law, by fixed shares.

Where a fault is exactly what a companion law says, the blend with its share grows as fast as any bet can (Kelly 1956);
nothing is learned, so nothing is paid for learning, and which companion wins says which fault it is.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats

SHARES = (0.02, 0.2, 0.95)


class Blend:
    """Bet ``1 - w + w c(x) / p(x)`` on every token, one arm a companion c and share w.

    Parameters
    ----------
    companions : mapping of str to str
        Names of companion laws, and what it means that they win.
    shares : tuple of float
        The grid of w, below one, so that no bet loses everything.
    """

    def __init__(self, companions: dict[str, str], shares: tuple[float, ...] = SHARES) -> None:
        self._companions, self._shares = companions, np.asarray(shares)

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each companion and share."""
        return tuple(f"blend:{name}:{share:g}" for name in self._companions for share in self._shares)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token; a companion that the batch lacks is the null law itself."""
        return np.concatenate([self._growth(batch, name) for name in self._companions], axis=1)

    def _growth(self, batch: Batch, name: str) -> Floats:
        if name not in batch.companions:
            return np.zeros((len(batch), len(self._shares)))
        own = np.take_along_axis(batch.companions[name], batch.tokens[..., None], axis=-1)[..., 0]
        ratio = own / batch.token_probs
        return np.asarray(np.log1p(self._shares * (ratio[..., None] - 1)).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say what the companion stands for."""
        return list(self._companions.values())[arm // len(self._shares)]
