"""The ledger holds, and the statistical asserts say fail as well as pass."""

from __future__ import annotations

import numpy as np
import pytest

from tests.statistics import (
    SUITE_FALSE_FAIL_RATE,
    assert_rate_at_least,
    assert_rate_at_most,
    assert_same_law,
    binomial_lower_bound,
    ledger,
    total_false_fail_rate,
)


def test_false_alarms_of_the_suite_add_up() -> None:
    assert 0 < total_false_fail_rate() <= SUITE_FALSE_FAIL_RATE


def test_ledger_refuses_two_rates_for_one_name() -> None:
    with pytest.raises(ValueError, match="must lie in"):
        ledger("no rate at all", 1.5)
    ledger("a deterministic test", 0.0)
    with pytest.raises(ValueError, match="registered before"):
        ledger("a deterministic test", 1e-9)


def test_binomial_bound_by_hand() -> None:
    """Three of three with error .001: p^3 = .001, so the bound is .1."""
    assert binomial_lower_bound(3, 3, 0.001) == pytest.approx(0.1, abs=1e-12)
    assert binomial_lower_bound(0, 10, 0.001) == 0


def test_rate_asserts_pass_and_fail() -> None:
    assert_rate_at_most(5, 100, 0.05, false_fail_rate=1e-6)
    with pytest.raises(AssertionError, match="the rate is at least"):
        assert_rate_at_most(40, 100, 0.05, false_fail_rate=1e-6)
    assert_rate_at_least(95, 100, 0.9, false_fail_rate=1e-6)
    with pytest.raises(AssertionError, match="the rate is at least"):
        assert_rate_at_least(40, 100, 0.9, false_fail_rate=1e-6)


def test_law_assert_passes_and_fails() -> None:
    law = np.array([0.5, 0.3, 0.2, 0.0])
    assert_same_law(np.array([5000, 3000, 2000, 0]), law, false_fail_rate=1e-6)
    with pytest.raises(AssertionError, match="p = "):
        assert_same_law(np.array([5300, 2800, 1900, 0]), law, false_fail_rate=1e-6)
    with pytest.raises(AssertionError, match="probability zero"):
        assert_same_law(np.array([5000, 3000, 1999, 1]), law, false_fail_rate=1e-6)
