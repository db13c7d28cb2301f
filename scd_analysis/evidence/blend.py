"""Bets on stated alternatives: the null law blended with a companion law, by fixed shares.

Where a fault is exactly what a companion law says, the blend with its share grows as fast as any bet can (Kelly 1956);
nothing is learned, so nothing is paid for learning, and which companion wins says which fault it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats

SHARES = (0.02, 0.1, 0.35, 0.7, 0.95)
"""Close enough that no share in between grows much slower than its own bet would."""


class Blend:
    """Bet ``1 - w + w c(x) / p(x)`` on every token, one arm a companion c and share w.

    Parameters
    ----------
    companions : mapping of str to str
        Names of companion laws, or of tokens in the context (Long[S, N], -1 where there is none) that are taken for
        certain, and what it means that they win.
    shares : tuple of float
        The grid of w, below one, so that no bet loses everything.
    only : mapping of str to (str, str)
        Names above that are another's companion law, bet on only where a flag of the context (Bool[S, N]) is set.
    """

    def __init__(
        self,
        companions: Mapping[str, str],
        shares: tuple[float, ...] = SHARES,
        only: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self._companions, self._shares, self._only = companions, np.asarray(shares), only or {}

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each companion and share."""
        return tuple(f"blend:{name}:{share:g}" for name in self._companions for share in self._shares)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token; a companion that the batch lacks is the null law itself."""
        return np.concatenate([self._growth(batch, name) for name in self._companions], axis=1)

    def _growth(self, batch: Batch, name: str) -> Floats:
        law, flag = self._only.get(name, (name, ""))
        if law in batch.companions:
            companion = np.take_along_axis(batch.companions[law], batch.tokens[..., None], axis=-1)[..., 0]
        elif law in batch.context:
            token = batch.context[law]
            companion = np.where(token >= 0, token == batch.tokens, batch.token_probs)
        else:
            return np.zeros((len(batch), len(self._shares)))
        ratio = companion / batch.token_probs
        if flag:
            ratio = np.where(batch.context[flag], ratio, 1)
        return np.asarray(np.log1p(self._shares * (ratio[..., None] - 1)).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say what the companion stands for."""
        return list(self._companions.values())[arm // len(self._shares)]
