"""Sets of tokens, made of directions, and bets that they come too often or too rarely for a ball around the target."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.coins import Coin
from scd_analysis.evidence.features import Feature
from scd_analysis.evidence.moments import AtToken

ROUNDING = 1e-12
"""Of the mean of a direction that is the same for all tokens."""

CAME = "came"
"""Key of the context of a batch: Bool[S, N], False where no token came and a draw from the target stands for it."""

Set = tuple[Floats, Floats, Floats]
"""Whether a token is in a set, the set's probability, and whether the set is one: Float[S, N] each."""


def members(feature: Feature, batch: Batch) -> Set:
    """Take the tokens to which a direction gives more than its mean as a set.

    Where a law leans to the direction, these are the tokens whose probability grows: of all sets this one has the
    largest difference, which is the total variation.
    """
    if isinstance(feature.values, AtToken):
        token = feature.values.token(batch)
        prob = np.take_along_axis(batch.target_probs, np.maximum(token, 0)[..., None], axis=-1)[..., 0]
        return _set(token == batch.tokens, prob, token >= 0)
    values = feature.values(batch)
    return of_members(values > np.einsum("snv,snv->sn", batch.target_probs, values)[..., None] + ROUNDING, batch)


def of_members(above: npt.NDArray[np.bool_], batch: Batch) -> Set:
    """Return the set of the tokens where ``above``, Bool[S, N, V], holds."""
    hit = np.take_along_axis(above, batch.tokens[..., None], axis=-1)[..., 0]
    prob = np.einsum("snv,snv->sn", batch.target_probs, above)
    return _set(hit, prob, np.asarray(above.any(axis=-1) & ~above.all(axis=-1)))


def _set(hit: npt.NDArray[Any], prob: Floats, active: npt.NDArray[Any]) -> Set:
    return hit.astype(np.float64), np.asarray(prob), active.astype(np.float64)


def outside(batch: Batch) -> Floats:
    """One at tokens of probability zero."""
    return (batch.target_probs <= 0).astype(np.float64)


_COME, _NEVER = "tokens come that the target gives probability zero", "tokens of probability zero never come"
OUTSIDE = Feature("outside-support", _COME, _NEVER, outside, 0.0)


class Sets:
    """Bet that sets of tokens come too often, or too rarely, at all positions alike.

    Parameters
    ----------
    features : tuple of Feature
        Directions, each of which makes a set (:func:`members`).
    epsilons : Float[E]
    prior_tokens : tuple of float
        See :class:`scd_analysis.evidence.coins.Coin`.
    at_once : bool
        Whether all of a batch is bet on by what was learned from those before.
    """

    def __init__(
        self,
        features: tuple[Feature, ...],
        epsilons: Floats,
        prior_tokens: tuple[float, ...],
        *,
        at_once: bool = False,
    ) -> None:
        self._features, self._priors, self._at_once = features, np.asarray(prior_tokens), at_once
        self._coins = [(Coin(epsilons, self._priors), Coin(epsilons, self._priors)) for _ in features]

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each set, which way, and each prior."""
        ways = [f"{way}{f.name}" for f in self._features for way in ("", "no-")]
        return tuple(f"set:{way}:{c:g}" for way in ways for c in self._priors)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token, in order, knowing all tokens before it."""
        return np.concatenate([self._growth(batch, i) for i in range(len(self._features))], axis=1)

    def _growth(self, batch: Batch, i: int) -> Floats:
        hit, prob, active = members(self._features[i], batch)
        if CAME in batch.context:
            hit = np.where(batch.context[CAME], hit, prob)
        hit, prob, active = hit.ravel(), prob.ravel(), active.ravel()
        more, less = self._coins[i]
        both = [
            more.log_factors(hit, prob, active, at_once=self._at_once),
            less.log_factors(1 - hit, 1 - prob, active, at_once=self._at_once),
        ]
        growth = np.concatenate(both, axis=1)
        return np.asarray(growth.reshape(*batch.tokens.shape, *growth.shape[1:]).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say which set, and which way."""
        i, way = divmod(arm // len(self._priors), 2)
        feature = self._features[i]
        return feature.less if way else feature.more
