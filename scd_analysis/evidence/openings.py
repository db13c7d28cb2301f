"""A token that is known beforehand comes too often, or too rarely, at the first positions: each for itself.

At each position a mixture of exponential tilts: with a hit h in {0, 1} of null probability P, tilt t multiplies wealth
by ``exp(t h) / (1 + P (e^t - 1))``, and a share of the wealth is not bet. Nothing is estimated, so nothing is paid for
estimates that are poor at first: the price is at most ln of the number of tilts over the share that is bet, and only at
positions that tell. Positions bet on different tokens, so the product of their martingales is one.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.features import Feature
from scd_analysis.evidence.moments import AtToken

UNBET = 0.3
"""Share of each position's wealth that is kept."""


class Openings:
    """Bet on hits of a token at the first positions.

    Parameters
    ----------
    feature : Feature
        Whose values are one at a token that is known before, and zero elsewhere.
    num_positions : int
        How many, from the first.
    tilts : tuple of float
        The grid of t (nats), all of one sign.

    Raises
    ------
    TypeError
        If the feature is of another kind.
    """

    def __init__(self, feature: Feature, num_positions: int, tilts: tuple[float, ...]) -> None:
        if not isinstance(feature.values, AtToken):
            raise TypeError(f"feature = {feature.name!r}: its values must be an AtToken")
        self._feature, self._token = feature, feature.values.token
        self._tilts = np.asarray(tilts, dtype=np.float64)
        self._log_weights = np.log(np.append(np.full(len(tilts), (1 - UNBET) / len(tilts)), UNBET))
        self._log_wealth = np.zeros((num_positions, len(tilts) + 1))

    @property
    def arms(self) -> tuple[str, ...]:
        """Name the only one."""
        return (f"openings:{self._feature.name}:{'more' if self._tilts[0] > 0 else 'less'}",)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every sequence, knowing all before it."""
        probs, hits = (part[:, : len(self._log_wealth)] for part in self._hits(batch))
        growth = self._tilts * hits[..., None] - np.log1p(probs[..., None] * np.expm1(self._tilts))
        growth = np.concatenate([growth, np.zeros((*hits.shape, 1))], axis=-1)
        wealth = np.concatenate([self._log_wealth[None], self._log_wealth + np.cumsum(growth, axis=0)])
        mixture = np.logaddexp.reduce(wealth + self._log_weights, axis=-1)
        self._log_wealth = wealth[-1]
        return np.asarray(np.diff(mixture, axis=0).sum(axis=1)[:, None])

    def _hits(self, batch: Batch) -> tuple[Floats, Floats]:
        """Null probability of the token at each position, and whether it came: Float[S, N] each."""
        token = self._token(batch)
        probs = np.take_along_axis(batch.target_probs, np.maximum(token, 0)[..., None], axis=-1)[..., 0]
        return np.where(token >= 0, probs, 0), (token == batch.tokens).astype(np.float64)

    def describe(self, arm: int) -> str:
        """Say what comes too often or too rarely, and where most."""
        position = int((self._log_wealth - self._log_wealth[:, -1:]).max(axis=1).argmax())
        words = self._feature.more if self._tilts[0] > 0 else self._feature.less
        return f"{words}, most at position {position}"
