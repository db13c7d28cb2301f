"""Error rates of stochastic tests, added up.

Every stochastic assert registers the probability that it fails although the code is right, so that the whole suite's
false alarms are bounded by a sum that a test checks. A test that says pass has a twin that says fail.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

SUITE_FALSE_FAIL_RATE = 1e-4

_RATES: dict[str, float] = {}


def ledger(name: str, false_fail_rate: float, power: float | None = None, resolution: float | None = None) -> float:
    """Register a stochastic assert and return its false-fail rate.

    Parameters
    ----------
    name : str
        Unique within the suite; the same name twice must state the same rate.
    false_fail_rate : float
        Probability that the assert fails although the code is right.
    power : float, optional
        Probability that it fails when the code is wrong by ``resolution``.
    resolution : float, optional
        The smallest total variation (or other stated discrepancy) that it is sure to find.

    Raises
    ------
    ValueError
        If the rate is not a probability, or the name was registered with another rate.
    """
    if not 0 <= false_fail_rate < 1:
        raise ValueError(f"false_fail_rate = {false_fail_rate}: must lie in [0, 1)")
    if power is not None and not 0 < power <= 1:
        raise ValueError(f"power = {power}: must lie in (0, 1]")
    if resolution is not None and not resolution > 0:
        raise ValueError(f"resolution = {resolution}: must be positive")
    if _RATES.setdefault(name, false_fail_rate) != false_fail_rate:
        raise ValueError(f"name = {name!r}: registered before with rate {_RATES[name]}")
    return false_fail_rate


def total_false_fail_rate() -> float:
    """Return the sum of all registered rates, a bound on the probability of any false alarm."""
    return math.fsum(_RATES.values())


def binomial_lower_bound(hits: int, trials: int, confidence: float) -> float:
    """Return the exact (Clopper-Pearson) lower bound; it is too high with probability ``1 - confidence``."""
    return 0.0 if hits == 0 else float(stats.beta.ppf(1 - confidence, hits, trials - hits + 1))


def assert_rate_at_most(hits: int, trials: int, rate: float, *, name: str, false_fail_rate: float) -> None:
    """Fail if so many hits have probability below ``false_fail_rate`` where each has probability ``rate`` at most."""
    ledger(name, false_fail_rate)
    bound = binomial_lower_bound(hits, trials, 1 - false_fail_rate)
    assert bound <= rate, f"{name}: {hits} of {trials}, so the rate is at least {bound:.4g} > {rate}"


def assert_rate_at_least(hits: int, trials: int, rate: float, *, name: str, false_fail_rate: float) -> None:
    """Fail if so few hits have probability below ``false_fail_rate`` where each has probability ``rate`` at least."""
    assert_rate_at_most(trials - hits, trials, 1 - rate, name=name, false_fail_rate=false_fail_rate)


def assert_same_law(counts: np.ndarray, law: np.ndarray, *, name: str, false_fail_rate: float) -> None:
    """Compare counts with a law by Pearson's test; cells expected fewer than 25 times are pooled."""
    ledger(name, false_fail_rate)
    expected = counts.sum() * law
    rare = expected < 25
    observed, wanted = np.append(counts[~rare], counts[rare].sum()), np.append(expected[~rare], expected[rare].sum())
    assert not (observed[wanted == 0] > 0).any(), f"{name}: a cell of probability zero was seen"
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    p_value = stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue
    assert p_value >= false_fail_rate, f"{name}: p = {p_value:.3g} over {len(observed)} cells"
