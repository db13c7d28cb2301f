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

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.bettor import before
from scd_analysis.evidence.directed import LARGEST_STAKE
from scd_analysis.evidence.halves import Halves

PRIORS = (10.0, 100.0, 3000.0)


@dataclass(frozen=True)
class Mean:
    """A number in [0, 1] whose mean is known.

    Attributes
    ----------
    name : str
    more, less : str
        What it means that it is too high, and too low.
    value, mean : hashable
        Keys of the number and of its mean in the context of a batch, Float[S, N]; both are zero where nothing was seen.
    """

    name: str
    more: str
    less: str
    value: Hashable
    mean: Hashable


class KnownMeans:
    """Bet that numbers depart from their means, always in one direction.

    Parameters
    ----------
    means : sequence of Mean
    """

    def __init__(self, means: Sequence[Mean]) -> None:
        self._means, self._priors = tuple(means), np.asarray(PRIORS)
        self._score, self._square = [0.0] * len(means), [0.0] * len(means)
        self._halves = Halves(len(means))

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each number and prior."""
        return tuple(f"mean:{one.name}:{c:g}" for one in self._means for c in self._priors)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every number, in order."""
        return np.concatenate([self._growth(batch, i) for i in range(len(self._means))], axis=1)

    def _growth(self, batch: Batch, i: int) -> Floats:
        mean = batch.context[self._means[i].mean].ravel()
        score = batch.context[self._means[i].value].ravel() - mean
        self._halves.add(i, score, batch.rows)
        total, square = before(score, self._score[i]), before(score * score, self._square[i])
        theta = total[:, None] / (square[:, None] + self._priors / 4)
        low = -LARGEST_STAKE / np.maximum(1 - mean, 1e-9)
        high = LARGEST_STAKE / np.maximum(mean, 1e-9)
        bets = np.log1p(np.clip(theta, low[:, None], high[:, None]) * score[:, None])
        self._score[i] += float(score.sum())
        self._square[i] += float((score * score).sum())
        return np.asarray(bets.reshape(*batch.tokens.shape, -1).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say which way the number leans."""
        i = arm // len(self._priors)
        return self._means[i].less if self._score[i] < 0 else self._means[i].more

    def where(self, arm: int) -> str:
        """Say in which half of every batch; empty where in both."""
        return self._halves.where(arm // len(self._priors))
