"""Bets on bounded variables whose conditional mean is known, though their law is not.

For z in [0, 1] with mean m given the past, ``1 + theta (z - m)`` has null expectation one; theta is the ridge estimate
from strictly earlier values, ``sum (z - m) / (sum (z - m)^2 + c / 4)``, cut so that no value loses more than the
largest stake [1]_.

References
----------
.. [1] I. Waudby-Smith, A. Ramdas (2024). Estimating means of bounded random variables by betting. JRSS B 86(1), 1-27.
       doi:10.1093/jrsssb/qkad009
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.bettor import before
from scd_analysis.evidence.directed import LARGEST_STAKE

PRIORS = (10.0, 100.0, 3000.0)


class KnownMeans:
    """Bet that values depart from their stated means, always in one direction.

    The batch's context holds, for each name, the values ``name`` and their means ``name-mean``, Float[S, N] in [0, 1];
    where the batch is not active both are zero.

    Parameters
    ----------
    messages : mapping of str to tuple of str
        For each name, what it means that its values are too high, and too low.
    """

    def __init__(self, messages: dict[str, tuple[str, str]]) -> None:
        self._messages, self._priors = messages, np.asarray(PRIORS)
        self._score = dict.fromkeys(messages, 0.0)
        self._square = dict.fromkeys(messages, 0.0)

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each value and prior."""
        return tuple(f"mean:{name}:{c:g}" for name in self._messages for c in self._priors)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every value, in order."""
        return np.concatenate([self._growth(batch, name) for name in self._messages], axis=1)

    def _growth(self, batch: Batch, name: str) -> Floats:
        mean = batch.context[f"{name}-mean"].ravel()
        score = batch.context[name].ravel() - mean
        total, square = before(score, self._score[name]), before(score * score, self._square[name])
        theta = total[:, None] / (square[:, None] + self._priors / 4)
        low = -LARGEST_STAKE / np.maximum(1 - mean, 1e-9)
        high = LARGEST_STAKE / np.maximum(mean, 1e-9)
        bets = np.log1p(np.clip(theta, low[:, None], high[:, None]) * score[:, None])
        self._score[name] += float(score.sum())
        self._square[name] += float((score * score).sum())
        return np.asarray(bets.reshape(*batch.tokens.shape, -1).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say which way the values lean."""
        name = list(self._messages)[arm // len(self._priors)]
        return self._messages[name][self._score[name] < 0]
