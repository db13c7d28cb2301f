"""Factors are fair against every law of a ball, and no more than fair against the worst of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from scd_analysis.evidence.ball import clips, log_factors
from scd_analysis.evidence.coins import Coin

ROUNDING = 1e-9


def largest_mean(factor: np.ndarray, target: np.ndarray, epsilon: float) -> float:
    """Return the maximum of sum Q f over laws Q with TV(Q, p) <= epsilon, by a linear programme.

    Its variables are Q and the parts of Q above p, whose sum is the total variation.
    """
    size = len(target)
    above = np.hstack([np.eye(size), -np.eye(size)])  # Q - part <= p
    total = np.concatenate([np.zeros(size), np.ones(size)])
    found = linprog(
        np.concatenate([-factor, np.zeros(size)]),
        A_ub=np.vstack([above, total]),
        b_ub=np.append(target, epsilon),
        A_eq=[np.concatenate([np.ones(size), np.zeros(size)])],
        b_eq=[1.0],
    )
    assert found.status == 0
    return -float(found.fun)


@st.composite
def two_laws(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two laws over 2 to 5 tokens; many have zeros, together and apart."""
    size = draw(st.integers(2, 5))
    weights = st.lists(st.sampled_from((0, 0, 1, 2, 3, 7, 40)), min_size=size, max_size=size).filter(any)
    first, second = (np.array(draw(weights), dtype=np.float64) for _ in range(2))
    return first / first.sum(), second / second.sum()


@pytest.mark.slow
@given(two_laws(), st.sampled_from((0.001, 0.03, 0.1, 0.25, 0.6, 0.99)))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_largest_mean_over_the_ball_is_one(laws: tuple[np.ndarray, np.ndarray], epsilon: float) -> None:
    alternative, target = laws
    tokens = np.arange(len(target))
    rows = [np.broadcast_to(law, (len(target), len(target))) for law in laws]
    factor = np.exp(log_factors(rows[0], rows[1], tokens, np.array([epsilon]))[:, 0])
    assert largest_mean(factor, target, epsilon) == pytest.approx(1, abs=ROUNDING)
    if np.abs(alternative - target).sum() / 2 <= epsilon:
        assert factor == pytest.approx(1)
    else:
        assert (alternative * np.log(factor, where=alternative > 0, out=np.zeros(len(target)))).sum() > 0  # it grows


@given(two_laws())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_ratio_that_is_not_clipped_would_be_found(laws: tuple[np.ndarray, np.ndarray]) -> None:
    """The twin: an ordinary ratio has mean one at the middle of the ball only."""
    alternative, target = (0.9 * law + 0.1 / len(law) for law in laws)
    if not np.allclose(alternative, target):
        assert largest_mean(alternative / target, target, 0.05) > 1 + ROUNDING


def test_no_factor_grows_faster_than_the_clipped_ratio() -> None:
    """Of factors that are fair over the ball, none has a larger mean logarithm: 2,000 random ones are tried."""
    rng = np.random.default_rng(0)
    alternative, target, epsilon = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5]), 0.1
    low, high = (float(bound[0]) for bound in clips(alternative, target, np.array([epsilon])))
    best = float(alternative @ np.log(np.clip(alternative / target, low, high)))
    for factor in rng.gamma(1.0, size=(2000, 3)):
        fair = factor / largest_mean_in_closed_form(factor, target, epsilon)
        assert alternative @ np.log(fair) <= best + ROUNDING


def largest_mean_in_closed_form(factor: np.ndarray, target: np.ndarray, epsilon: float) -> float:
    """Move epsilon from the smallest factors to the largest one."""
    order = np.argsort(factor)
    before = np.cumsum(target[order]) - target[order]
    moved = np.clip(epsilon - before, 0, target[order])
    return float((target[order] - moved) @ factor[order] + moved.sum() * factor.max())


def test_epsilons_side_by_side_are_those_one_by_one() -> None:
    rng = np.random.default_rng(1)
    alternative, target = rng.dirichlet(np.ones(6), size=(2, 3, 4))
    tokens, epsilons = rng.integers(6, size=(3, 4)), np.array([0.01, 0.1, 0.4])
    together = log_factors(alternative, target, tokens, epsilons)
    apart = [log_factors(alternative, target, tokens, np.array([epsilon]))[..., 0] for epsilon in epsilons]
    assert together.shape == (3, 4, 3)
    np.testing.assert_array_equal(together, np.stack(apart, axis=-1))


@pytest.mark.parametrize("prob", [0.0, 0.2, 0.93])
def test_the_wealth_of_a_coin_is_a_martingale_at_the_edge_of_the_ball(prob: float) -> None:
    """All 2**6 courses of six tokens, weighted by the largest probability that the set may have; below that, less."""
    epsilons, priors, length = np.array([0.05, 0.3]), np.array([1.0, 30.0]), 6
    edge = np.minimum(prob + epsilons, 1)
    at_edge, at_target = np.zeros((2, 2)), np.zeros((2, 2))
    for course in itertools.product((0.0, 1.0), repeat=length):
        hits = np.array(course)
        bets = Coin(epsilons, priors).log_factors(hits, np.full(length, prob), np.ones(length))
        wealth = np.exp(bets.sum(axis=0))
        at_edge += wealth * np.prod(np.where(hits[:, None] == 1, edge, 1 - edge), axis=0)
        at_target += wealth * np.prod(np.where(hits == 1, prob, 1 - prob))
    assert at_edge == pytest.approx(1)
    assert (at_target <= at_edge + ROUNDING).all()
    assert at_target[0, 0] < 1 - 1e-4 or prob == 0  # then nothing comes, and nothing is ever bet


def test_a_coin_learns_the_same_in_parts() -> None:
    rng = np.random.default_rng(2)
    hits, probs, active = rng.integers(2, size=50) * 1.0, rng.random(50), rng.integers(2, size=50) * 1.0
    epsilons, priors = np.array([0.05, 0.3]), np.array([1.0, 30.0])
    whole = Coin(epsilons, priors).log_factors(hits, probs, active)
    coin = Coin(epsilons, priors)
    parts = [coin.log_factors(hits[part], probs[part], active[part]) for part in (slice(0, 20), slice(20, 50))]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-12)
    assert (whole[active == 0] == 0).all()
