"""Bettors that traces need: each bet has null expectation one, and wins where it should."""

import numpy as np
import pytest

from scd_analysis.evidence.batch import observed
from scd_analysis.evidence.blend import Alternative, Blend
from scd_analysis.evidence.bounded import KnownMeans, Mean
from scd_analysis.evidence.certificate import mean_bounds
from scd_analysis.evidence.resolution import one_observation

Z = Mean("z", "too high", "too low", "z", "z-mean")


def test_a_blend_has_expectation_one_and_grows_as_fast_as_the_truth_allows():
    """Null (1/2, 1/2), companion (3/4, 1/4): by hand ln(1 + .2 (1.5 - 1)) for token 0."""
    laws, companion = np.full((2, 1, 2), 0.5), np.tile([0.75, 0.25], (2, 1, 1))
    batch = observed(np.array([[0], [1]]), laws, np.zeros((2, 1)), np.ones((2, 1), bool), {"c": companion})
    growth = Blend(
        [Alternative("c", "said", "c"), Alternative("absent", "not there", "absent")], (0.02, 0.2, 0.95)
    ).bet(batch)
    np.testing.assert_allclose(np.exp(growth).mean(0), 1, atol=1e-12)  # both tokens, each of probability one half
    np.testing.assert_allclose(growth[0, 1], np.log(1.1), atol=1e-12)
    assert (growth[:, 3:] == 0).all()


def test_a_blend_bets_on_a_token_of_the_context_and_only_where_it_is_told_to():
    """Laws of (1/4, 3/4): a copy of token 0 pays ln(1 + .5 (4 - 1)); no token, or no flag, pays nothing."""
    laws, ones = np.tile([0.25, 0.75], (4, 1, 1)), np.ones((4, 1), bool)
    context = {"copied": np.array([[0], [0], [-1], [0]]), "flag": np.array([[True], [True], [True], [False]])}
    batch = observed(np.array([[0], [1], [0], [0]]), laws, np.zeros((4, 1)), ones, context=context)
    blend = Blend([Alternative("copied", "said", "copied"), Alternative("flagged", "said", "copied", "flag")], (0.5,))
    won, lost = np.log(1 + 0.5 * (4 - 1)), np.log(0.5)
    np.testing.assert_allclose(blend.bet(batch), [[won, won], [lost, lost], [0, 0], [won, 0]], atol=1e-12)
    np.testing.assert_allclose(0.25 * np.exp(won) + 0.75 * np.exp(lost), 1)


def test_known_means_learn_a_shift_and_nothing_from_none():
    rng = np.random.default_rng(0)
    values = rng.uniform(size=(400, 1))

    def batch(shift):
        context = {"z": np.clip(values + shift, 0, 1), "z-mean": np.full_like(values, 0.5)}
        ones = np.ones((400, 1, 1))
        none = np.zeros((400, 1), dtype=int)
        return observed(none, ones, values, none == 0, context=context)

    bettor = KnownMeans([Z])
    assert bettor.bet(batch(0.15)).sum(0).max() > 15
    assert bettor.describe(0) == "too high"
    assert KnownMeans([Z]).bet(batch(0.0)).sum(0).max() < 3


def test_the_first_known_mean_is_not_bet_on():
    context = {"z": np.array([[1.0]]), "z-mean": np.array([[0.2]])}
    batch = observed(
        np.zeros((1, 1), int), np.ones((1, 1, 1)), np.zeros((1, 1)), np.ones((1, 1), bool), context=context
    )
    assert (KnownMeans([Z]).bet(batch) == 0).all()


def test_impossible_and_inactive_observations_are_left_out():
    laws = np.array([[[1.0, 0.0]], [[0.5, 0.5]], [[0.5, 0.5]]])
    tokens, active = np.array([[1], [0], [1]]), np.array([[True], [False], [True]])
    batch = observed(tokens, laws, np.zeros((3, 1)), active)
    assert batch.sequence.tolist() == [2]
    assert batch.position.tolist() == [[0]]
    assert batch.token_probs.tolist() == [[0.5]]


def test_mean_bounds_by_hand():
    """Total 30 of 100 in [0, 1], delta .05, scale 100: radius = .5 sqrt(200 ln(200 / (100 * .0025))) / 100."""
    low, high = mean_bounds(30, 100, 1.0, 0.05)
    radius = 0.5 * np.sqrt(200 * np.log(800)) / 100
    assert (low, high) == (pytest.approx(0.3 - radius), pytest.approx(0.3 + radius))


def test_more_observations_resolve_more():
    few, many = (one_observation(np.log(1e6), -5.0, n, np.array([10.0, 100.0])) for n in (100, 10_000))
    assert many < few <= 1
    assert one_observation(1.0, 0.0, 0, np.array([1.0])) == 1
