"""Error rates of stochastic tests, added up.

Every stochastic assert registers, when its module is imported, the probability that it fails although the code is
right; so the probability of any false alarm in the whole suite is bounded by a sum that a test checks. A test that says
pass has a twin that says fail.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from scd_analysis.testing import register_rate

SUITE_FALSE_FAIL_RATE = 1e-4

_RATES: dict[str, float] = {}


def ledger(name: str, false_fail_rate: float, *, power: float | None = None, resolution: float | None = None) -> float:
    """Register a stochastic assert and return its false-fail rate. Call it at module level, once an assert.

    Parameters
    ----------
    name : str
        Unique within the suite.
    false_fail_rate : float
        Probability that the assert fails although the code is right.
    power : float, optional
        Probability that it fails when the code is wrong by ``resolution``.
    resolution : float, optional
        The smallest total variation (or other discrepancy that the name states) for which ``power`` is claimed.

    Raises
    ------
    ValueError
        If a number is not what it should be, or the name was registered with another rate.
    """
    rate = register_rate(name, false_fail_rate, power=power, resolution=resolution)  # for the plugin's summary
    if _RATES.setdefault(name, rate) != rate:
        raise ValueError(f"name = {name!r}: registered before with rate {_RATES[name]}")
    return rate


def total_false_fail_rate() -> float:
    """Return the sum of all registered rates, a bound on the probability of any false alarm."""
    return math.fsum(_RATES.values())


def binomial_lower_bound(hits: int, trials: int, error: float) -> float:
    """Return the exact (Clopper-Pearson) lower bound on a probability; it is too high with probability ``error``."""
    return 0.0 if hits == 0 else float(stats.beta.ppf(error, hits, trials - hits + 1))


def assert_rate_at_most(hits: int, trials: int, rate: float, *, false_fail_rate: float) -> None:
    """Fail if so many hits have probability below ``false_fail_rate`` where each has probability ``rate`` at most."""
    bound = binomial_lower_bound(hits, trials, false_fail_rate)
    assert bound <= rate, f"{hits} of {trials}: the rate is at least {bound:.4g}, above {rate}"


def assert_rate_at_least(hits: int, trials: int, rate: float, *, false_fail_rate: float) -> None:
    """Fail if so few hits have probability below ``false_fail_rate`` where each has probability ``rate`` at least."""
    assert_rate_at_most(trials - hits, trials, 1 - rate, false_fail_rate=false_fail_rate)


def assert_same_law(
    counts: npt.NDArray[np.int64], law: npt.NDArray[np.float64], *, false_fail_rate: float, least_expected: float = 25
) -> None:
    """Compare counts with a law by Pearson's test, cells expected fewer than ``least_expected`` times pooled."""
    expected = counts.sum() * law
    assert not (counts[law == 0] > 0).any(), "a cell of probability zero was seen"
    rare = expected < least_expected
    observed, wanted = np.append(counts[~rare], counts[rare].sum()), np.append(expected[~rare], expected[rare].sum())
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    p_value = stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue
    assert p_value >= false_fail_rate, f"p = {p_value:.3g} over {len(observed)} cells"
