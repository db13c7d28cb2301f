"""Learned one-parameter bets along a stated direction.

For a feature f with conditional mean ``m`` and variance under the null, the bet on a token is ``1 + theta (f(x) - m)``,
whose null expectation is one, kept positive by a bound on theta that depends on the past only. ``theta`` is the ridge
estimate from strictly earlier tokens, ``sum (f - m) / (sum var (1 + c / n))``: to first order the bet that grows
fastest [1]_. The priors c form a grid.

References
----------
.. [1] I. Waudby-Smith, A. Ramdas (2024). Estimating means of bounded random variables by betting. JRSS B 86(1), 1-27.
       doi:10.1093/jrsssb/qkad009
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.bettor import before
from scd_analysis.evidence.features import Feature
from scd_analysis.evidence.halves import Halves
from scd_analysis.evidence.moments import moments, read_of
from scd_analysis.evidence.pieces import OfLaws

LARGEST_STAKE = 0.9
"""The largest share of the wealth that one token can lose."""

TOGETHER = 2**16
"""Tokens times features that are bet on at once: small batches cost what calls cost, and large ones memory."""


def log_bets(feature: Feature, theta: Floats, score: Floats, mean: Floats) -> Floats:
    """Return ln(1 + theta (f - m)), theta Float[..., arms] cut so that no token loses more than the largest stake."""
    return _within(feature.low, feature.high, theta, score, mean)


def _within(lowest: Floats | float, highest: Floats | float, theta: Floats, score: Floats, mean: Floats) -> Floats:
    """Return the same for features that go from ``lowest`` to ``highest``."""
    low = -LARGEST_STAKE / np.maximum(highest - mean, 1e-9)
    high = LARGEST_STAKE / np.maximum(mean - lowest, 1e-9)
    return np.asarray(np.log1p(np.clip(theta, low[..., None], high[..., None]) * score[..., None]))


def shrunk(score: Floats, information: Floats, seen: Floats, priors: Floats) -> Floats:
    """Return the ridge estimate of theta, Float[..., arms]."""
    estimate = score / np.maximum(information, 1e-12)
    return np.asarray(estimate[..., None] * (seen[..., None] / (seen[..., None] + priors)))


@dataclass(frozen=True)
class Leaning:
    """Along which direction observations lean.

    Attributes
    ----------
    feature : Feature
    position : int
        Where most.
    score : float
        Sum of the centred feature over observations.
    count : int
        Observations on which the feature could vary.
    width : float
        Of the feature's range; ``|score| / count / width`` bounds the mean total variation from below.
    """

    feature: Feature
    position: int
    score: float
    count: int
    width: float


class Directed:
    """Lean along, or away from, each of several features, at all positions alike.

    Parameters
    ----------
    features : tuple of Feature
    prior_tokens : tuple of float
        The grid of c: how many tokens the prior at no bet is worth. One arm a feature and prior.
    name : str
        In the names of arms.
    """

    def __init__(self, features: tuple[Feature, ...], prior_tokens: tuple[float, ...], name: str = "directed") -> None:
        self._features, self._name = features, name
        self._priors = np.asarray(prior_tokens, dtype=np.float64)
        self._lowest, self._highest = (np.array([[end] for end in ends]) for ends in _ranges(features))
        self._score = np.zeros(len(features))
        self._information = np.zeros(len(features))
        self._seen = 0
        self._by_position = np.zeros((3, len(features), 1))
        self._halves = Halves(len(features))

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each feature and prior."""
        return tuple(f"{self._name}:{f.name}:{c:g}" for f in self._features for c in self._priors)

    @property
    def looks_at(self) -> tuple[OfLaws, ...]:
        """See :class:`~scd_analysis.evidence.bettor.Looking`."""
        return tuple(one for one in (read_of(feature.values) for feature in self._features) if one is not None)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token, in order, knowing all tokens before it."""
        seen = self._seen + np.arange(batch.tokens.size, dtype=np.float64)
        each = max(1, TOGETHER // max(1, batch.tokens.size))
        groups = [slice(i, i + each) for i in range(0, len(self._features), each)]
        growth, sums = zip(*(self._growth(batch, some, seen) for some in groups), strict=True)
        self._seen += batch.tokens.size
        self._by_position = _added(self._by_position, np.concatenate(sums, axis=1))
        return np.concatenate(growth, axis=1)

    def _growth(self, batch: Batch, some: slice, seen: Floats) -> tuple[Floats, Floats]:
        """Of some features, Float[S, arms], and what they add by position, Float[3, features, N]."""
        parts = [moments(feature.values, batch, batch.known) for feature in self._features[some]]
        for i, (centred, _, _) in enumerate(parts, some.start):
            self._halves.add(i, centred, batch.rows)
        score, mean, information = (np.stack(kind).reshape(len(parts), -1) for kind in zip(*parts, strict=True))
        scored, informed = before(score.T, self._score[some]).T, before(information.T, self._information[some]).T
        theta = shrunk(scored, informed, seen, self._priors)
        bets = _within(self._lowest[some], self._highest[some], theta, score, mean)
        self._score[some] += score.sum(axis=1)
        self._information[some] += information.sum(axis=1)
        growth = bets.reshape(len(parts), *batch.tokens.shape, -1).sum(axis=2)
        sums = _by_position(batch, np.stack([score, information, (information > 0).astype(np.float64)]))
        return np.asarray(growth.transpose(1, 0, 2).reshape(len(batch), -1)), sums

    def leaning(self) -> Leaning:
        """Say along which feature the observations lean most, and where."""
        signal = np.abs(self._score) / np.sqrt(np.maximum(self._information, 1e-12))
        i = int(signal.argmax())
        score, information, count = self._by_position[:, i]
        position = int((score * np.sign(self._score[i]) / np.sqrt(np.maximum(information, 1e-12))).argmax())
        feature = self._features[i]
        return Leaning(feature, position, float(score.sum()), int(count.sum()), feature.high - feature.low)

    def describe(self, arm: int) -> str:
        """Say which way the feature leans, by the sign learned so far."""
        i = arm // len(self._priors)
        return self._features[i].more if self._score[i] > 0 else self._features[i].less

    def where(self, arm: int) -> str:
        """Say in which half of every batch; empty where in both."""
        return self._halves.where(arm // len(self._priors))


def _ranges(features: tuple[Feature, ...]) -> tuple[list[float], list[float]]:
    return [feature.low for feature in features], [feature.high for feature in features]


def _by_position(batch: Batch, values: Floats) -> Floats:
    """Sum Float[..., S * N] of tokens by the position they have in their sequence."""
    if batch.position is None:
        return np.asarray(values.reshape(*values.shape[:-1], *batch.tokens.shape).sum(axis=-2))
    position, kinds = batch.position.ravel(), values.reshape(-1, values.shape[-1])
    width = int(position.max()) + 1
    cells = position + width * np.arange(len(kinds))[:, None]
    sums = np.bincount(cells.ravel(), kinds.ravel(), len(kinds) * width)
    return np.asarray(sums.reshape(*values.shape[:-1], width), dtype=np.float64)


def _added(first: Floats, second: Floats) -> Floats:
    """Add rows of different lengths."""
    shorter, longer = sorted((first, second), key=lambda rows: rows.shape[-1])
    total = longer.copy()
    total[..., : shorter.shape[-1]] += shorter
    return total


class DirectedByPosition:
    """Lean along each feature by an amount that every position learns for itself.

    One arm a feature: the product over positions of a mixture over priors, with no bet at all among them. Positions bet
    on different tokens, so the product of their martingales is one.

    Parameters
    ----------
    features : tuple of Feature
    num_tokens : int
        How many positions, from the first: N or fewer.
    prior_sequences : tuple of float
        The grid of c, in sequences.
    """

    def __init__(self, features: tuple[Feature, ...], num_tokens: int, prior_sequences: tuple[float, ...]) -> None:
        self._features = features
        self._priors = np.asarray(prior_sequences, dtype=np.float64)
        self._score = np.zeros((len(features), num_tokens))
        self._information = np.zeros((len(features), num_tokens))
        self._log_wealth = np.zeros((len(features), num_tokens, len(prior_sequences) + 1))
        self._seen = 0

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each feature."""
        return tuple(f"directed-by-position:{feature.name}" for feature in self._features)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token, knowing the same position of all sequences before."""
        growth = np.stack([self._growth(batch, i) for i in range(len(self._features))], axis=1)
        self._seen += len(batch)
        return growth

    def _growth(self, batch: Batch, i: int) -> Floats:
        width = self._score.shape[1]
        score, mean, information = (part[:, :width] for part in moments(self._features[i].values, batch, batch.known))
        past = before(score, self._score[i]), before(information, self._information[i])
        seen = np.broadcast_to(self._seen + np.arange(len(batch), dtype=np.float64)[:, None], score.shape)
        bets = log_bets(self._features[i], shrunk(*past, seen, self._priors), score, mean)
        self._score[i] += score.sum(axis=0)
        self._information[i] += information.sum(axis=0)
        wealth = self._log_wealth[i] + np.cumsum(np.concatenate([bets, np.zeros((*score.shape, 1))], axis=-1), axis=0)
        mixture = np.logaddexp.reduce(np.concatenate([self._log_wealth[i][None], wealth]), axis=-1)
        self._log_wealth[i] = wealth[-1]
        return np.asarray(np.diff(mixture, axis=0).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say which way the feature leans, and where most."""
        signal = self._score[arm] / np.sqrt(np.maximum(self._information[arm], 1e-12))
        position = int(np.abs(signal).argmax())
        words = self._features[arm].more if signal[position] > 0 else self._features[arm].less
        return f"{words}, most at position {position}"
