"""Bets that a set of tokens comes too often, however laws differ from the target's by up to epsilon.

Over the ball of :mod:`scd_analysis.evidence.ball` a set of probability m under the target has probability
``b = m + epsilon`` at most. So ``1 + phi (1 - b)`` where the set comes and ``1 - phi b`` where it does not is a factor
whose mean is at most one under every law of the ball, for each phi from 0 to 1/b that is known before. As on a
direction (:mod:`scd_analysis.evidence.directed`) phi is learned from strictly earlier tokens: what came beyond b, over
what its variance would be there. That a set comes too rarely is that its complement comes too often.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Floats
from scd_analysis.evidence.bettor import before
from scd_analysis.evidence.directed import LARGEST_STAKE


class Coin:
    """What was learned of one set, and the bets that follow.

    Parameters
    ----------
    epsilons : Float[E]
        Radii of the balls.
    prior_tokens : Float[C]
        How many tokens the prior at no bet is worth.

    Attributes
    ----------
    excess : Float[E]
        By how much the set came more often than it may.
    information : Float[E]
        The variance of that, at the edge.
    """

    def __init__(self, epsilons: Floats, prior_tokens: Floats) -> None:
        self._epsilons, self._priors = epsilons, prior_tokens
        self.excess, self.information = np.zeros(len(epsilons)), np.zeros(len(epsilons))
        self._seen = 0.0

    def log_factors(self, hit: Floats, prob: Floats, active: Floats, *, at_once: bool = False) -> Floats:
        """Bet on tokens one after another, and learn from them.

        Parameters
        ----------
        hit : Float[T]
            One where the token is in the set, else zero; or the probability of that, where a token is left out of whose
            law the target's is known to be.
        prob : Float[T]
            Probability of the set under the target.
        active : Float[T]
            One where the set is neither empty nor everything, else zero: there nothing is bet.
        at_once : bool
            Whether all are bet on by what was learned before the first.

        Returns
        -------
        Float[T, C, E]
            ln of the factors.
        """
        edge = prob[:, None] + self._epsilons
        open_ = active[:, None] * (edge < 1)  # a set that may come always never comes too often
        score, information = open_ * (hit[:, None] - edge), open_ * edge * (1 - edge)
        past, variance, seen = (
            before(score, self.excess),
            before(information, self.information),
            before(active, self._seen),
        )
        if at_once:
            past, variance, seen = past[:1], variance[:1], seen[:1]
        seen = seen[:, None, None]
        phi = (np.maximum(past, 0) / np.maximum(variance, 1e-12))[:, None] * (seen / (seen + self._priors[:, None]))
        self.excess = self.excess + score.sum(axis=0)
        self.information = self.information + information.sum(axis=0)
        self._seen += float(active.sum())
        return np.asarray(np.log1p(np.minimum(phi, LARGEST_STAKE / np.maximum(edge, 1e-12)[:, None]) * score[:, None]))
