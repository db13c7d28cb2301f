"""Two races with the same noise: the closed form against known cases, the collision formula and simulation."""

import numpy as np
import pytest

from scd_analysis.evidence.races import second_winner
from scd_analysis.laws import collision_probability
from tests.statistics import assert_same_law, ledger


def every_winner(law, first):
    size = len(law)
    return second_winner(np.broadcast_to(law, (size, size)), np.broadcast_to(first, (size, size)), np.arange(size))


def test_equal_laws_have_the_same_winner():
    law = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(every_winner(law, law), np.eye(3), atol=1e-15)


def test_two_tokens_by_hand():
    """p = (1/2, 1/2), q = (1/4, 3/4): token 1 wins q and then p with probability 1 / (1 + (p_0 q_1 / p_1 - q_0)+)."""
    out = every_winner(np.array([0.5, 0.5]), np.array([0.25, 0.75]))
    np.testing.assert_allclose(out, [[1, 0], [1 / 3, 2 / 3]], atol=1e-15)


@pytest.mark.parametrize("size", [2, 3, 7, 40, 300])
def test_rows_are_laws_that_average_to_the_second_law_and_collide_as_known(size):
    rng = np.random.default_rng(size)
    for zeros in (False, True):
        law, first = rng.dirichlet(np.full(size, 0.5), 2)
        if zeros:
            law[0] = 0
            law /= law.sum()
        rows = every_winner(law, first)
        np.testing.assert_allclose(rows.sum(1), 1, atol=1e-12)
        np.testing.assert_allclose(first @ rows, law, atol=1e-12)
        collide = collision_probability(first, law, "gumbel")
        assert float((first * np.diag(rows)).sum()) == pytest.approx(float(collide), abs=1e-12)


SIMULATED = ledger("races: second winner against simulation", 1e-6, power=0.99, resolution=0.01)


def test_against_simulation():
    rng = np.random.default_rng(0)
    law, first = rng.dirichlet(np.ones(4), 2)
    noise = rng.exponential(size=(200_000, 4))
    pairs = (noise / first).argmin(1) * 4 + (noise / law).argmin(1)
    counts = np.bincount(pairs, minlength=16)
    joint = (first[:, None] * every_winner(law, first)).ravel()
    assert_same_law(counts, joint, false_fail_rate=SIMULATED)
    with pytest.raises(AssertionError):  # the twin: independent races
        assert_same_law(counts, (first[:, None] * law).ravel(), false_fail_rate=SIMULATED)
