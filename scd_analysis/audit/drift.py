"""Drift: how far the laws that a decoder used are from the model's, position by position.

The algorithm is judged against the laws that it used, exactly; its arithmetic by this. A single law that is far off
says little, and a bound on each would be one on the worst rounding; what must not exceed epsilon is their mean. Bet on
is a number in [0, 1] whose conditional mean is epsilon at most: ``1 + phi (z - epsilon)``, phi on a fixed grid, mixed
evenly. The same bets for every mean give an interval that holds at all times together [1]_. By the chain rule the total
variation of whole sequences is at most the sum over positions of the mean drift, where the conditions hold with respect
to the laws that were used.

References
----------
.. [1] I. Waudby-Smith, A. Ramdas (2024). Estimating means of bounded random variables by betting. JRSS B 86(1), 1-27.
       doi:10.1093/jrsssb/qkad009
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scd_analysis.audit.commits import Commits
from scd_analysis.audit.verdict import ConditionReport, Diagnosis, Drift, DriftAt, Size
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.laws import total_variation

DELTA = 0.05
"""Of the interval for the mean."""

STAKES = 0.9 * 0.5 ** np.arange(14)
"""Shares of the wealth that a value of zero loses."""

EDGES = np.concatenate([[0.0], np.geomspace(1e-7, 1, 1000)])
"""Between which drifts are counted: 1.6 per cent apart."""

MOST_REJECTIONS = 8
JUMP = 3.0
"""So many times as large after a rejection as before the first is a jump."""


def _log_wealth(values: Floats, counts: Longs, mean: float) -> float:
    """Return ln of the mixture (nats) of bets that the mean of values in [0, 1] is above ``mean``."""
    with np.errstate(divide="ignore"):
        growth = np.log1p(STAKES[:, None] * (values / mean - 1)) @ counts
    return float(np.logaddexp.reduce(growth) - np.log(len(STAKES)))


def mean_between(counts: Longs) -> tuple[float, float]:
    """Bound the mean of values in [0, 1], at all times together with confidence ``1 - DELTA``.

    Parameters
    ----------
    counts : Long[len(EDGES)]
        How many values lie in ``(EDGES[i - 1], EDGES[i]]``; the first are zero.

    Returns
    -------
    low, high : float
        Values are rounded outward to the edges, so that rounding cannot make the interval too narrow.
    """
    below = np.concatenate([[0.0], EDGES[:-1]])
    low = _least(below, counts)
    return low, max(low, 1 - _least(1 - EDGES, counts))


def _least(values: Floats, counts: Longs) -> float:
    """The largest mean that is refuted from above, by bisection: the wealth falls with the mean."""
    refuted, stands = 0.0, 1.0
    for _ in range(40):
        middle = (refuted + stands) / 2
        if _log_wealth(values, counts, middle) >= np.log(2 / DELTA):
            refuted = middle
        else:
            stands = middle
    return refuted


@dataclass
class Groups:
    """Sums of the drift by a number that each position has.

    Attributes
    ----------
    total, count : dict of int to float, int
    """

    total: dict[int, float] = field(default_factory=dict)
    count: dict[int, int] = field(default_factory=dict)

    def add(self, keys: Longs, values: Floats) -> None:
        """Add up values Float[A] by their keys Long[A]."""
        for key in map(int, np.unique(keys)):
            here = values[keys == key]
            self.total[key] = self.total.get(key, 0.0) + float(here.sum())
            self.count[key] = self.count.get(key, 0) + len(here)

    def means(self, by: str) -> tuple[DriftAt, ...]:
        """Return the means, by ascending number."""
        return tuple(DriftAt(by, key, self.total[key] / self.count[key], self.count[key]) for key in sorted(self.count))


class DriftEvidence:
    """Measure the drift of a trace with laws, and bet that its mean is above epsilon.

    Parameters
    ----------
    epsilon : float
        Above zero.

    Attributes
    ----------
    log_e_value : float
        ln E (nats) against "the mean drift, given the past, is epsilon at most".
    """

    def __init__(self, epsilon: float) -> None:
        self._epsilon = epsilon
        self._log_wealth = np.zeros(len(STAKES))
        self._counts = np.zeros(len(EDGES), dtype=np.int64)
        self._groups = {by: Groups() for by in ("slot", "age", "position", "rejections before")}
        self._sequences = 0
        self._total = self._largest = 0.0
        self.crossed_at: int | None = None

    @property
    def log_e_value(self) -> float:
        """Of the mixture, nats."""
        return float(np.logaddexp.reduce(self._log_wealth) - np.log(len(STAKES)))

    def bet(self, commits: Commits, model_probs: Floats, offset: int, log_threshold: float) -> Floats:
        """Measure, bet, and return ln E after each sequence, Float[S].

        Parameters
        ----------
        commits : Commits
            With the target laws that were used.
        model_probs : Float[S, N, V]
            The model's law of every token given the finished sequence.
        offset : int
            Number of the first sequence.
        log_threshold : float
            ln(1/alpha), nats.
        """
        assert commits.target_probs is not None
        known = commits.drafted & ~np.isnan(commits.target_probs).any(axis=-1)
        drift = np.zeros(known.shape)
        drift[known] = np.clip(total_variation(commits.target_probs[known], model_probs[known]), 0, 1)
        growth = np.log1p(STAKES * (drift[..., None] / self._epsilon - 1)) * known[..., None]
        wealth = self._log_wealth + np.cumsum(growth.sum(axis=1), axis=0)
        self._log_wealth = wealth[-1]
        path = np.logaddexp.reduce(wealth, axis=1) - np.log(len(STAKES))
        if self.crossed_at is None and (path >= log_threshold).any():
            self.crossed_at = offset + int((path >= log_threshold).argmax())
        self._measure(commits, known, drift)
        return np.asarray(path)

    def _measure(self, commits: Commits, known: npt.NDArray[np.bool_], drift: Floats) -> None:
        values = drift[known]
        self._counts += np.bincount(np.searchsorted(EDGES, values, side="left"), minlength=len(EDGES))
        self._total += float(values.sum())
        self._largest = max(self._largest, float(values.max(initial=0)))
        self._sequences += len(known)
        rejected: Longs = np.cumsum(commits.rejected, axis=1) - commits.rejected
        keys = {
            "slot": commits.slot,
            "age": commits.age,
            "position": np.broadcast_to(np.arange(known.shape[1]), known.shape),
            "rejections before": np.minimum(rejected, MOST_REJECTIONS),
        }
        for by, of in keys.items():
            self._groups[by].add(of[known], values)

    def measured(self) -> Drift | None:
        """Say how large the drift is; None where no law was compared."""
        count = int(self._counts.sum())
        if not count:
            return None
        low, high = mean_between(self._counts)
        shares = np.cumsum(self._counts) / count
        return Drift(
            mean=self._total / count,
            low=low,
            high=high,
            delta=DELTA,
            count=count,
            quantiles=tuple(
                (share, min(float(EDGES[int((shares >= share).argmax())]), self._largest)) for share in (0.5, 0.9, 0.99)
            ),
            largest=self._largest,
            of_sequences=min(1.0, high * count / self._sequences),
            log_e_value=self.log_e_value,
            by=tuple(one for by, group in self._groups.items() for one in group.means(by)),
        )

    def report(self, diagnosis: Diagnosis | None) -> ConditionReport:
        """Where the condition of the target stands."""
        count = int(self._counts.sum())
        if not count:
            return ConditionReport(Condition.TARGET, "not tested", 0.0, 0, None, "no recorded law could be compared")
        status, message = "not refuted", f"the mean drift is {self._total / count:.3g}"
        if diagnosis is not None and diagnosis.condition is Condition.TARGET:
            status, message = "broken", diagnosis.cause
        return ConditionReport(Condition.TARGET, status, self.log_e_value, count, None, message)

    def diagnosis(self) -> Diagnosis:
        """Name the target: laws drift by more than they may."""
        found = self.measured()
        assert found is not None
        cause = f"the laws verified against drift from the model's by more than epsilon = {self._epsilon:g}"
        if self.jumps:
            cause += "; the drift jumps after a rejection, as where a cache keeps what was rejected"
        size = Size(found.low, found.high, "mean drift of the recorded laws")
        evidence = (f"drift: ln E = {self.log_e_value:.1f}; {found}",)
        return Diagnosis(Condition.TARGET, cause, None, None, self.crossed_at, size, evidence, math.inf)

    @property
    def jumps(self) -> bool:
        """Whether the drift is larger after a rejection, as it is where a cache keeps what was rejected."""
        groups = self._groups["rejections before"]
        first, after = ([key for key in groups.count if (key > 0) == is_after] for is_after in (False, True))
        if not first or not after:
            return False
        means = [sum(groups.total[k] for k in keys) / sum(groups.count[k] for k in keys) for keys in (first, after)]
        return means[1] > JUMP * means[0] and means[1] > self._epsilon
