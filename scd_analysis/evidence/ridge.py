"""Learned bets along all directions at once: an exponential tilt of the target with a ridge estimate.

The bet on token x is ``exp(theta . f(x)) / E_p exp(theta . f)``, a law tilted along every feature together, with
``theta = (G + c diag(G)/n)^-1 s`` from strictly earlier batches: s is the sum of centred features, G of their null
covariances. One arm a prior count c, with one theta for all positions, or one a position.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.features import Feature

LARGEST_TILT = 6.0
"""Bound on each entry of theta (nats), so that a bet from little data stays moderate."""


class RidgeTilt:
    """Tilt the target along several features together.

    Parameters
    ----------
    features : tuple of Feature
    num_tokens : int
        N.
    prior_tokens : tuple of float
        The grid of c.
    by_position : bool
        Whether each position learns its own theta.
    name : str, optional
        In the names of arms, where a portfolio has several tilts.
    """

    def __init__(
        self,
        features: tuple[Feature, ...],
        num_tokens: int,
        prior_tokens: tuple[float, ...],
        *,
        by_position: bool,
        name: str = "",
    ) -> None:
        self._features, self._priors, self._by_position = features, prior_tokens, by_position
        self._name = f"{name}:" if name else ""
        width = len(features)
        groups = num_tokens if by_position else 1
        self._score = np.zeros((groups, width))
        self._information = np.zeros((groups, width, width))
        self._seen = 0

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each prior."""
        kind = "by-position" if self._by_position else "pooled"
        return tuple(f"ridge-{kind}:{self._name}{c:g}" for c in self._priors)

    def bet(self, batch: Batch) -> Floats:
        """Bet with what was learned from earlier batches, then learn."""
        values = np.stack([feature.values(batch) for feature in self._features], axis=-1)
        values -= np.einsum("snv,snvf->snf", batch.target_probs, values)[:, :, None]
        own = np.take_along_axis(values, batch.tokens[..., None, None], axis=2)[:, :, 0]
        growth = np.stack([self._growth(batch, values, own, c) for c in self._priors], axis=1)
        self._learn(batch, values, own)
        return growth

    def _growth(self, batch: Batch, values: Floats, own: Floats, prior: float) -> Floats:
        theta = np.broadcast_to(self._theta(prior), (batch.tokens.shape[1], len(self._features)))
        if not theta.any():
            return np.zeros(len(batch))
        tilt = np.matmul(values, theta[None, :, :, None])[..., 0]
        normaliser = np.log((batch.target_probs * np.exp(tilt)).sum(axis=-1))
        return np.asarray((np.einsum("snf,nf->sn", own, theta) - normaliser).sum(axis=1))

    def _theta(self, prior: float) -> Floats:
        if self._seen == 0:
            return np.zeros_like(self._score)
        scale = np.sqrt(np.maximum(np.einsum("gff->gf", self._information), 1e-12))
        correlation = self._information / scale[:, :, None] / scale[:, None, :]
        ridge = correlation + (prior / self._seen + 1e-9) * np.eye(len(self._features))
        theta = np.linalg.solve(ridge, (self._score / scale)[..., None])[..., 0] / scale
        return np.asarray(np.clip(theta, -LARGEST_TILT, LARGEST_TILT))

    def _learn(self, batch: Batch, values: Floats, own: Floats) -> None:
        weighted = values * batch.target_probs[..., None]
        for group in range(len(self._score)):
            at = slice(group, group + 1) if self._by_position else slice(None)
            self._score[group] += own[:, at].sum(axis=(0, 1))
            flat = values[:, at].reshape(-1, len(self._features))
            self._information[group] += weighted[:, at].reshape(-1, len(self._features)).T @ flat
        self._seen += len(batch) * (1 if self._by_position else batch.tokens.shape[1])

    def summed(self) -> tuple[Floats, Floats, float]:
        """Sum of the centred features Float[F], its null covariance Float[F, F], and over how many tokens."""
        return self._score.sum(axis=0), self._information.sum(axis=0), float(max(self._seen, 1))

    def leading(self, arm: int) -> tuple[Feature, float]:
        """The direction that carries the tilt most, and by how much."""
        scale = np.sqrt(np.maximum(np.einsum("gff->gf", self._information), 1e-12))
        strength = self._theta(self._priors[arm]) * scale
        group, i = np.unravel_index(int(np.abs(strength).argmax()), strength.shape)
        return self._features[int(i)], float(strength[group, i])

    def describe(self, arm: int) -> str:
        """Name the directions that carry the tilt."""
        scale = np.sqrt(np.maximum(np.einsum("gff->gf", self._information), 1e-12))
        strength = np.abs(self._theta(self._priors[arm]) * scale).max(axis=0)
        leading = [self._features[i].name for i in np.argsort(-strength)[:3]]
        return f"several directions together, led by {', '.join(leading)}"
