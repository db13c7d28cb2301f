"""Bounds on a total variation that hold at all times together.

What is bounded: ``TV(Q, P)`` between the law Q of one sequence of the subject (or of a stated function of it) over K
cells and its target law P, where sequences are independent draws from one Q. For any law m fixed beforehand, mixed over
multinomials, ``m(data) / Q(data)`` is a nonnegative martingale under Q, so with probability ``1 - delta``, at all n
together [1]_,

    KL(Qn || Q) <= b_n = (ln(1/delta) + ln max_q q(data) - ln m(data)) / n,

with Qn the empirical law. Every event A then obeys ``kl(Qn(A), Q(A)) <= b_n``, and ``TV = max_A Q(A) - P(A)`` is
bounded from both sides over the events ``{Qn / P large}``. The mixture m averages null-centred Dirichlet laws, so the
bound is tight where the subject is nearly right.

References
----------
.. [1] H. Robbins (1970). Statistical methods related to the law of the iterated logarithm. Ann. Math. Statist. 41(5),
       1397-1409. doi:10.1214/aoms/1177696786
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, xlogy

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import check_between, check_laws

_GRID = 64
"""Pieces into which each cell is cut when an upper bound is searched; the bound is rounded outward on each."""

_FINE_CELLS, _MASS_OF_PIECE = 2**11, 2.0**-16
"""Above so many cells, one is cut into no more pieces than of this mass: what is rounded stays as small."""


@dataclass(frozen=True)
class Certificate:
    """``low <= TV <= high`` with confidence ``1 - delta``, at all n together.

    Attributes
    ----------
    low, high : float
    delta : float
    num_sequences : int
    what : str
        Whose total variation, over which cells.
    """

    low: float
    high: float
    delta: float
    num_sequences: int
    what: str

    def __str__(self) -> str:
        return (
            f"{self.low:.4g} <= TV <= {self.high:.4g} on {self.what} with confidence {1 - self.delta:g}, "
            f"from {self.num_sequences:,} sequences"
        )


class TotalVariation:
    """Count cells and bound the total variation at any time.

    Parameters
    ----------
    target_law : Float[K]
        P, the law of the cell under the target.
    what : str
        What a cell is, for the certificate: ``"whole sequences"``, ``"the last token"``.
    concentrations : Float[C]
        The grid of the mixture.
    """

    def __init__(self, target_law: Floats, what: str, concentrations: Floats) -> None:
        check_laws(target_law, "target_law")
        self._law = target_law / target_law.sum()
        self._what, self._concentrations = what, np.asarray(concentrations, dtype=np.float64)
        self._counts = np.zeros(len(target_law), dtype=np.int64)

    def update(self, cells: Longs) -> None:
        """Count cells Long[n]."""
        if len(cells) and not (cells.min() >= 0 and cells.max() < len(self._law)):
            raise InputError(f"cells has {cells.min()} ... {cells.max()}: there are {len(self._law)} cells")
        self._counts += np.bincount(cells, minlength=len(self._law))

    def certificate(self, delta: float) -> Certificate:
        """Return the bounds at this time.

        Parameters
        ----------
        delta : float
            Probability, at most, that the bounds ever fail, at any time.
        """
        check_between(delta, 0, 1, "delta", open_ends=True)
        n = int(self._counts.sum())
        if n == 0:
            return Certificate(0.0, 1.0, delta, 0, self._what)
        radius = self._radius(n, delta)
        seen, target = self._curve(n)
        low = float(np.max(_kl_inverse(seen, radius, upper=False) - target))
        fine_seen, fine_target = _refine(seen, target)
        high = float(np.max(_kl_inverse(fine_seen[1:], radius, upper=True) - fine_target[:-1]))
        return Certificate(max(low, 0.0), min(high, 1.0), delta, n, self._what)

    def _radius(self, n: int, delta: float) -> float:
        """Return b_n, nats a sequence."""
        likelihood = float(xlogy(self._counts, self._counts / n).sum())
        flat = _log_marginal(self._counts, np.full(len(self._law), 0.5))
        possible = self._law > 0
        if (self._counts[~possible] > 0).any():  # every null-centred mixture gives the data probability zero
            return (math.log(2 / delta) + likelihood - flat) / n
        counts, law = self._counts[possible], self._law[possible]
        marginals = [_log_marginal(counts, c * law) for c in self._concentrations]
        centred = float(np.logaddexp.reduce(marginals)) - math.log(len(marginals))
        mixture = float(np.logaddexp(centred, flat)) - math.log(2)
        return (math.log(1 / delta) + likelihood - mixture) / n

    def _curve(self, n: int) -> tuple[Floats, Floats]:
        """Return the events {Qn / P large}: their empirical and target probabilities, from nothing to everything.

        Cells that never came are the last, and one piece: there the curve is straight.
        """
        came = self._counts > 0
        counts, law = self._counts[came], self._law[came]
        ratio = np.divide(counts, law, out=np.full(len(law), np.inf), where=law > 0)
        order = np.argsort(-ratio, kind="stable")
        rest = [] if came.all() else [1.0]
        seen = np.concatenate([[0.0], np.cumsum(counts[order]) / n, rest])
        target = np.concatenate([[0.0], np.cumsum(law[order]), np.multiply(rest, self._law.sum())])
        return np.asarray(seen), np.asarray(target)


def _log_marginal(counts: Longs, prior: Floats) -> float:
    """Return ln of the Dirichlet-multinomial probability of a sequence with these counts."""
    total, came = prior.sum(), counts > 0
    start = gammaln(total) - gammaln(total + counts.sum())
    return float(start + (gammaln(prior[came] + counts[came]) - gammaln(prior[came])).sum())


def _refine(seen: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Cut the pieces of a curve into smaller ones."""
    pieces = np.full(len(seen) - 1, _GRID)
    if len(pieces) > _FINE_CELLS:
        mass = np.maximum(np.diff(seen), np.diff(target))
        pieces = np.clip(np.ceil(mass / _MASS_OF_PIECE), 1, _GRID).astype(np.int64)
    start = np.repeat(np.arange(len(pieces)), pieces)
    within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    index, points = np.r_[start + within / pieces[start], len(pieces)], np.arange(len(seen))
    fine = np.interp(index, points, seen), np.interp(index, points, target)
    return np.asarray(fine[0]), np.asarray(fine[1])


def _kl_inverse(observed: Floats, radius: float, *, upper: bool) -> Floats:
    """Return the largest (or smallest) b with ``kl(observed, b) <= radius``, by bisection."""
    inside, outside = observed.astype(np.float64), np.full(observed.shape, 1.0 if upper else 0.0)
    for _ in range(50):
        middle = (inside + outside) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = xlogy(observed, observed / middle) + xlogy(1 - observed, (1 - observed) / (1 - middle))
        fits = np.nan_to_num(gap, nan=0.0, posinf=np.inf) <= radius
        inside, outside = np.where(fits, middle, inside), np.where(fits, outside, middle)
    return outside if upper else inside


def mean_bounds(total: float, count: int, width: float, delta: float, scale: float = 100.0) -> tuple[float, float]:
    """Bound the mean of bounded variables, at all times together.

    Parameters
    ----------
    total : float
        Sum of the variables.
    count : int
        How many, 1 or more.
    width : float
        Of the interval that holds each of them.
    delta : float
        Probability, at most, that the mean of the conditional means ever lies outside.
    scale : float
        Count at which the bounds are tightest, about.

    Returns
    -------
    tuple of float
        By the normal mixture for sub-Gaussian increments of variance proxy ``width^2 / 4``.

    References
    ----------
    Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence sequences. Annals of
    Statistics 49(2), 2021, equation (14). doi:10.1214/20-AOS1991
    """
    check_between(delta, 0, 1, "delta", open_ends=True)
    spread = (count + scale) * math.log((count + scale) / (scale * delta * delta))
    radius = width / 2 * math.sqrt(spread) / count
    return max(total / count - radius, 0.0), total / count + radius
