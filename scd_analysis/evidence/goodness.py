"""Goodness of fit of a fixed sample: to decide at one n, and to compare sequential evidence with.

Pearson's and the likelihood-ratio statistic are calibrated by the chi-square law only where every cell is expected
often enough; :func:`pool` merges the rest first. :func:`monte_carlo` needs no such condition and is exact at every n
[1]_.

References
----------
.. [1] M. Dwass (1957). Modified randomization tests for nonparametric hypotheses. Ann. Math. Statist. 28(1), 181-187.
       doi:10.1214/aoms/1177707045
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, rel_entr

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import check_at_least, check_laws, check_same_shape


@dataclass(frozen=True)
class Fit:
    """The result of one test.

    Attributes
    ----------
    statistic : float
    p_value : float
        Probability of so large a statistic when the sample has the stated law.
    num_cells : int
        Cells compared, after pooling.
    num_observations : int
    """

    statistic: float
    p_value: float
    num_cells: int
    num_observations: int


def pool(counts: Longs, law: Floats, least_expected: float) -> tuple[Floats, Floats]:
    """Merge the cells expected fewer than ``least_expected`` times into one.

    Cells of probability zero are left out of the merge: seen once, they refute by themselves.

    Returns
    -------
    observed, expected : Float[cells]
        If the merged cell is still expected too rarely, it is merged with the rarest other one.
    """
    expected = counts.sum() * law
    possible = expected > 0
    rare = possible & (expected < least_expected)
    kept = possible & ~rare
    order = np.argsort(expected[kept])
    observed, wanted = counts[kept][order].astype(np.float64), expected[kept][order]
    if rare.any():
        rest = (float(counts[rare].sum()), float(expected[rare].sum()))
        if rest[1] >= least_expected or not len(wanted):
            observed, wanted = np.append(observed, rest[0]), np.append(wanted, rest[1])
        else:
            observed[0] += rest[0]
            wanted[0] += rest[1]
    return observed, wanted


def pearson(counts: Longs, law: Floats, least_expected: float = 5.0) -> Fit:
    """Compare counts with a law by Pearson's chi-square after pooling.

    Parameters
    ----------
    counts : Long[K]
    law : Float[K]
    least_expected : float
        Cells expected fewer times are pooled. With small expected counts left in, the test is not calibrated.

    Raises
    ------
    InputError, LawError
        If shapes disagree, a count is negative, or the law is not one.
    """
    return _chi_square(counts, law, least_expected, power=1.0)


def likelihood_ratio(counts: Longs, law: Floats, least_expected: float = 5.0) -> Fit:
    """Compare counts with a law by the G statistic, ``2 sum O ln(O/E)`` (nats), after pooling.

    Parameters and errors as for :func:`pearson`.
    """
    return _chi_square(counts, law, least_expected, power=0.0)


def _chi_square(counts: Longs, law: Floats, least_expected: float, power: float) -> Fit:
    _check(counts, law)
    if (counts[law == 0] > 0).any():
        return Fit(float("inf"), 0.0, len(law), int(counts.sum()))
    observed, expected = pool(counts, law, least_expected)
    statistic = _statistic(observed, expected, power)
    p_value = float(chdtrc(len(observed) - 1, statistic)) if len(observed) > 1 else 1.0
    return Fit(float(statistic), p_value, len(observed), int(counts.sum()))


def _statistic(observed: Floats, expected: Floats, power: float) -> float:
    if power == 1.0:
        return float(((observed - expected) ** 2 / expected).sum(axis=-1))
    return float(2 * rel_entr(observed, expected).sum(axis=-1))


def monte_carlo(counts: Longs, law: Floats, rng: np.random.Generator, num_draws: int = 9999) -> Fit:
    """Compare the likelihood ratio of counts with those of samples drawn from the law; exact at every n.

    Parameters
    ----------
    counts : Long[K]
    law : Float[K]
    rng : numpy.random.Generator
    num_draws : int
        The p-value is a multiple of ``1 / (num_draws + 1)``.

    Raises
    ------
    InputError, LawError
        As for :func:`pearson`.
    """
    _check(counts, law)
    check_at_least(num_draws, 1, "num_draws")
    n = int(counts.sum())
    observed = rel_entr(counts, n * law).sum()
    draws = rng.multinomial(n, law / law.sum(), size=num_draws)
    larger = int((rel_entr(draws, n * law).sum(axis=1) >= observed - 1e-9).sum())
    return Fit(float(2 * observed), (1 + larger) / (1 + num_draws), len(law), n)


def _check(counts: Longs, law: Floats) -> None:
    check_same_shape(counts, law, ("counts", "law"))
    check_laws(law, "law")
    if (counts < 0).any() or counts.sum() == 0:
        bad = int(np.argmin(counts))
        raise InputError(f"counts[{bad}] = {counts[bad]}: counts are nonnegative and not all zero")
