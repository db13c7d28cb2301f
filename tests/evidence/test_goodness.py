"""Fixed-sample tests: by hand, and calibrated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scd_analysis.errors import InputError, LawError
from scd_analysis.evidence.goodness import likelihood_ratio, monte_carlo, pearson, pool
from tests.statistics import assert_rate_at_most, ledger

RUNS = 400
SIZE = ledger(
    "goodness: Pearson and G after pooling are of their size", 2e-6, power=0.99, resolution=0.08
)  # of size .1
EXACT = ledger("goodness: the Monte Carlo test is of its size, .1", 1e-6, power=0.99, resolution=0.23)


def test_pearson_by_hand() -> None:
    """O = 30, 20 against E = 25, 25: 25/25 + 25/25 = 2."""
    fit = pearson(np.array([30, 20]), np.array([0.5, 0.5]))
    assert fit.statistic == pytest.approx(2, abs=1e-12)
    assert fit.p_value == pytest.approx(stats.chi2.sf(2, 1), abs=1e-12)


def test_likelihood_ratio_by_hand() -> None:
    """2 (30 ln 1.2 + 20 ln .8)."""
    fit = likelihood_ratio(np.array([30, 20]), np.array([0.5, 0.5]))
    assert fit.statistic == pytest.approx(2 * (30 * np.log(1.2) + 20 * np.log(0.8)), abs=1e-10)


def test_pool_merges_rare_cells() -> None:
    observed, expected = pool(np.array([90, 3, 4, 3, 0]), np.array([0.9, 0.04, 0.03, 0.03, 0.0]), 5)
    assert observed.tolist() == [90, 10]
    np.testing.assert_allclose(expected, [90, 10], atol=1e-12)


def test_sizes_hold_after_pooling() -> None:
    """400 samples of 200 over 100 cells, most expected less than once: at most 10% of p-values below .1."""
    rng = np.random.default_rng(0)
    law = rng.dirichlet(np.full(100, 0.3))
    samples = rng.multinomial(200, law, size=RUNS)
    for test in (pearson, likelihood_ratio):
        hits = sum(test(counts, law).p_value < 0.1 for counts in samples)
        assert_rate_at_most(hits, RUNS, 0.1 + 0.03, false_fail_rate=SIZE / 2)  # the chi-square law is approximate
        assert hits > 0


def test_monte_carlo_is_exact_at_any_size() -> None:
    rng = np.random.default_rng(1)
    law = rng.dirichlet(np.full(30, 0.3))
    hits = sum(monte_carlo(rng.multinomial(12, law), law, rng, 99).p_value <= 0.1 for _ in range(150))
    assert_rate_at_most(hits, 150, 0.1, false_fail_rate=EXACT)


@pytest.mark.parametrize("test", [pearson, likelihood_ratio])
def test_a_wrong_law_is_found(test: object) -> None:
    assert test(np.array([700, 300]), np.array([0.5, 0.5])).p_value < 1e-12  # type: ignore[operator]
    assert test(np.array([50, 49, 1]), np.array([0.5, 0.5, 0.0])).p_value == 0  # type: ignore[operator]


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"counts has shape \(2,\) but law has shape \(3,\)"):
        pearson(np.array([1, 2]), np.full(3, 1 / 3))
    with pytest.raises(LawError, match="law sums to"):
        pearson(np.array([1, 2]), np.array([0.5, 0.6]))
    with pytest.raises(InputError, match=r"counts\[0\] = -1"):
        pearson(np.array([-1, 2]), np.array([0.5, 0.5]))
