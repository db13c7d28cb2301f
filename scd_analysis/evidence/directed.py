"""Learned one-parameter bets along a stated direction.

For a feature f with conditional mean ``m`` and variance under the null, the bet on a token is ``1 + theta (f(x) - m)``,
whose null expectation is one, kept positive by a bound on theta that depends on the past only. ``theta`` is the ridge
estimate from strictly earlier tokens, ``sum (f - m) / (sum var (1 + c / n))``: to first order the bet that grows
fastest [1]_. One arm a prior count c.

References
----------
.. [1] I. Waudby-Smith, A. Ramdas (2024). Estimating means of bounded random variables by betting. JRSS B 86(1), 1-27.
       doi:10.1093/jrsssb/qkad009
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.bettor import before
from scd_analysis.evidence.features import Feature

LARGEST_STAKE = 0.9
"""The largest share of the wealth that one token can lose."""


class Directed:
    """Lean along, or away from, each of several features.

    Parameters
    ----------
    features : tuple of Feature
    prior_tokens : tuple of float
        The grid of c: how many tokens the prior at no bet is worth.
    """

    def __init__(self, features: tuple[Feature, ...], prior_tokens: tuple[float, ...]) -> None:
        self._features = features
        self._priors = np.asarray(prior_tokens, dtype=np.float64)
        self._score = np.zeros(len(features))
        self._information = np.zeros(len(features))
        self._num_tokens = 0

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each feature and prior."""
        return tuple(f"directed:{f.name}:{c:g}" for f in self._features for c in self._priors)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token, in order."""
        growth = [self._growth(batch, i) for i in range(len(self._features))]
        self._num_tokens += batch.tokens.size
        return np.concatenate(growth, axis=1)

    def _growth(self, batch: Batch, i: int) -> Floats:
        feature = self._features[i]
        values = feature.values(batch)
        mean = (batch.target_probs * values).sum(axis=-1).ravel()
        square = (batch.target_probs * values * values).sum(axis=-1).ravel()
        score = np.take_along_axis(values, batch.tokens[..., None], axis=-1).ravel() - mean
        information = np.maximum(square - mean * mean, 0)
        theta = self._stakes(before(score, self._score[i]), before(information, self._information[i]))
        low = -LARGEST_STAKE / np.maximum(feature.high - mean, 1e-9)
        high = LARGEST_STAKE / np.maximum(mean - feature.low, 1e-9)
        theta = np.clip(theta, low[:, None], high[:, None])
        self._score[i] += score.sum()
        self._information[i] += information.sum()
        bets = np.log1p(theta * score[:, None])
        return np.asarray(bets.reshape(*batch.tokens.shape, -1).sum(axis=1))

    def _stakes(self, score: Floats, information: Floats) -> Floats:
        seen = self._num_tokens + np.arange(len(score))
        shrink = seen[:, None] / (seen[:, None] + self._priors)
        return np.asarray(shrink * (score / np.maximum(information, 1e-12))[:, None])

    def describe(self, arm: int) -> str:
        """Say which way the feature leans, by the sign learned so far."""
        feature = self._features[arm // len(self._priors)]
        return feature.more if self._score[arm // len(self._priors)] > 0 else feature.less
