"""Results: distances, parts, bounds on partial laws, and how they print."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scd_analysis.errors import InputError, LawError
from scd_analysis.exact import ExactLaw, assert_exact

LAW = ExactLaw({(0, 0): 0.5, (0, 1): 0.25, (1, 1): 0.25}, branches=3)
OTHER = {(0, 0): 0.25, (0, 1): 0.25, (1, 0): 0.5}


def test_total_variation_by_hand() -> None:
    """|.5 - .25| + |.25 - 0| against |0 - .5|: one half."""
    assert LAW.total_variation(OTHER) == 0.5
    assert LAW.total_variation(LAW) == 0
    thirds = ExactLaw({0: Fraction(1, 3), 1: Fraction(2, 3)})
    assert thirds.total_variation({0: Fraction(1, 2), 1: Fraction(1, 2)}) == Fraction(1, 6)


def test_kl_by_hand() -> None:
    assert LAW.kl(OTHER) == math.inf
    assert LAW.kl(LAW) == 0
    assert LAW.marginal(1).kl({0: 0.25, 1: 0.75}) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-15)


def test_marginal_and_conditional() -> None:
    assert dict(LAW.marginal(0).probabilities) == {0: 0.75, 1: 0.25}
    assert dict(LAW.marginal(slice(1, 2)).probabilities) == {(0,): 0.5, (1,): 0.5}
    assert dict(LAW.marginal([1, 0]).probabilities) == {(0, 0): 0.5, (1, 0): 0.25, (1, 1): 0.25}
    assert dict(LAW.marginal(sum).probabilities) == {0: 0.5, 1: 0.25, 2: 0.25}
    assert LAW.conditional({0: 0}).probabilities[(0, 1)] == pytest.approx(1 / 3)
    assert LAW.conditional(lambda x: x[1] == 1)[1, 1] == 0.5
    with pytest.raises(LawError, match="probability zero"):
        LAW.conditional({0: 7})


def test_comparison_is_sorted_by_difference() -> None:
    rows = LAW.comparison(OTHER, worst=2)
    assert [row.outcome for row in rows] == [(1, 0), (0, 0)]
    assert rows[0].difference == -0.5
    assert "(1, 0)" in LAW.table(OTHER)
    assert "total variation 0.5" in LAW.table(OTHER)


def test_it_is_frozen_and_readable() -> None:
    with pytest.raises(AttributeError):
        LAW.branches = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        LAW.probabilities[(0, 0)] = 1.0  # type: ignore[index]
    text = str(ExactLaw({0: Fraction(1, 3), 1: Fraction(2, 3)}, 2, notes=("a seed was ignored",)))
    assert "exact law of 2 outcomes from 2 branches" in text
    assert "0.666666666667 = 2/3" in text
    assert "note: a seed was ignored" in text
    assert LAW[9, 9] == 0
    assert len(LAW) == 3


def test_a_partial_law_has_bounds_only() -> None:
    partial = ExactLaw({0: 0.5, 1: 0.25}, unexplored_mass=0.25)
    with pytest.raises(InputError, match="total_variation_bounds"):
        partial.total_variation({0: 0.5, 1: 0.5})
    with pytest.raises(InputError, match="not known"):
        partial.kl({0: 0.5, 1: 0.5})
    assert partial.total_variation_bounds({0: 0.5, 1: 0.5}) == (0, 0.25)
    with pytest.raises(AssertionError, match="too much mass is unexplored"):
        assert_exact(partial, {0: 0.5, 1: 0.5})
    with pytest.raises(AssertionError, match="law differs"):
        assert_exact(partial, {0: 0.1, 1: 0.9})
    assert_exact(partial, {0: 0.5, 1: 0.5}, tolerance=0.25)


laws = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any)


@pytest.mark.slow
@given(laws, laws, laws, st.integers(0, 4), st.integers(0, 4))
def test_bounds_hold_whatever_was_left_out(p: list[int], q: list[int], hidden: list[int], r: int, s: int) -> None:
    """Mix a known part with a hidden one; the true distance lies within the bounds of the known parts."""
    rho, sigma = Fraction(r, 5), Fraction(s, 5)
    p_known = {k: (1 - rho) * Fraction(x, sum(p)) for k, x in enumerate(p)}
    q_known = {k: (1 - sigma) * Fraction(x, sum(q)) for k, x in enumerate(q)}
    p_true = {k: v + rho * Fraction(hidden[k], sum(hidden)) for k, v in p_known.items()}
    q_true = {k: v + sigma * Fraction(hidden[-1 - k], sum(hidden)) for k, v in q_known.items()}
    low, high = ExactLaw(p_known, unexplored_mass=rho).total_variation_bounds(ExactLaw(q_known, unexplored_mass=sigma))
    distance = ExactLaw(p_true).total_variation(q_true)
    assert low <= distance <= high
    assert (low == high) or rho + sigma > 0


@pytest.mark.parametrize("other", [{0: 0.5, 1: 0.6}, {0: -0.1, 1: 1.1}, {0: math.nan, 1: 1.0}])
def test_a_dict_that_is_no_law_is_an_error(other: dict[int, float]) -> None:
    with pytest.raises(LawError, match="other"):
        ExactLaw({0: 1.0}).total_variation(other)
