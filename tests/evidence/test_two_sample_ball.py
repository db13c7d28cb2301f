"""Two arms up to epsilon: factors are fair for all laws that are so near each other, and exactly so for the worst."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scd_analysis.evidence.contexts import ContextCounts
from scd_analysis.evidence.resolution import one_coin
from scd_analysis.evidence.robust import EPSILONS
from scd_analysis.evidence.two_sample_ball import STAKES, Coins, Pairs, coins_of, matched, pair_balls
from tests.evidence.decoders import Floats, Longs, Tables, decode, random_tables
from tests.statistics import ledger

NAMES = ("on", "off")
STANDS = ledger("pairs up to epsilon: arms of one law stand at 1e-8", 1e-8)
FINDS = ledger("pairs up to epsilon: coins off by the resolution are found in 90 of 100 runs", 1e-7)  # each with 0.99


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrays(np.int64, (2, 12, 4), elements=st.integers(0, 2)))
def test_pairs_have_the_same_tokens_before_and_are_as_many_as_there_can_be(tokens: Longs) -> None:
    pairs = Pairs(*tokens)
    for j, (first, second) in enumerate(matched(pairs)):
        assert (pairs.first[first, :j] == pairs.second[second, :j]).all()
        assert len(set(first.tolist())) == len(set(second.tolist())) == len(first) == len(second)
        prefixes = [[tuple(row[:j]) for row in arm.tolist()] for arm in tokens]
        assert len(first) == sum(min(arm.count(one) for arm in prefixes) for one in set(prefixes[0]))


def law_of(arm: tuple[float, float, float]) -> Floats:
    """Float[2, 2] of two tokens out of two: the first one's probability, and the second one's after each."""
    first, after = np.array([arm[0], 1 - arm[0]]), np.array([[arm[1], 1 - arm[1]], [arm[2], 1 - arm[2]]])
    return np.asarray(first[:, None] * after)


def mean_growth(first: Floats, second: Floats, num_pairs: int) -> Floats:
    """The mean of every factor over all outcomes of pairs of sequences, after some were learned from."""
    counts = ContextCounts()
    counts.learn(np.array([[0, 0], [0, 0], [0, 1], [1, 0]]), np.array([[1, 1], [1, 0], [0, 1], [1, 1]]))
    cells, total = list(itertools.product(range(2), repeat=2)), 0.0
    balls = pair_balls(counts, 0.05, NAMES)
    for chosen in itertools.product(cells, repeat=2 * num_pairs):
        pairs = Pairs(np.array(chosen[:num_pairs]), np.array(chosen[num_pairs:]))
        growth = np.concatenate([family.bettor.bet(pairs) for family in balls.members], axis=1)[0]
        prob = math.prod(first[c] for c in chosen[:num_pairs]) * math.prod(second[c] for c in chosen[num_pairs:])
        total = total + prob * np.exp(growth)
    return np.asarray(total)


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.2])
def test_no_factor_has_a_mean_above_one_within_the_ball(epsilon: float) -> None:
    """At the edge, in every direction; and beyond it some factor is above one, so that the ball is no larger."""
    epsilons, above = np.array(EPSILONS), 0.0
    ways = [(signs, 1) for signs in itertools.product((-1, 1), repeat=3)] + [((1, -1, 1), 2)] * bool(epsilon)
    for signs, num_pairs in ways:
        middle = np.array([0.5, 0.3, 0.7])
        apart = middle + epsilon * np.array(signs)
        mean = mean_growth(law_of(tuple(apart)), law_of(tuple(middle)), num_pairs)
        assert mean[:, epsilons >= epsilon - 1e-12].max() <= 1 + 1e-12
        above = max(above, mean[:, epsilons < epsilon - 1e-12].max(initial=1.0))
    assert (above > 1) == (epsilon > 0.001)


def test_the_worst_law_gives_a_mean_of_one() -> None:
    """A set whose probability differs by epsilon exactly: Pr[d = 1] = .35, Pr[d = -1] = .3, and epsilon = .05."""
    probs = np.array([0.35, 0.35, 0.3])
    growth = np.stack([Coins(np.eye(3, dtype=np.int64)[[i]]).growth(np.array([0.05, 0.04]))[0] for i in range(3)])
    mean = np.einsum("d,dte->te", probs, np.exp(growth))
    assert mean[:, 0] == pytest.approx(1.0, abs=1e-14)
    assert (mean[:, 1] > 1 + 1e-5).all()


def test_evidence_grows_where_epsilon_is_less_and_says_which_arm() -> None:
    law = random_tables(3, 3, 0.8, np.random.default_rng(3))
    rng = np.random.default_rng(5)
    counts = ContextCounts()
    balls = pair_balls(counts, 0.01, NAMES)
    for _ in range(40):
        first, second = decode(law, 32, rng, fault="truncated"), decode(law, 32, rng)
        balls.bet(Pairs(first, second))
        counts.learn(first, second)
    found = balls.log_e_values
    assert (np.diff(found) <= 1e-9).all()
    assert balls.refuted(math.log(1e6)) >= 0.01
    leading = max(balls.families(), key=lambda family: family.log_e_value)
    assert " off" in leading.message


def test_arms_of_one_law_lose_little_and_win_nothing() -> None:
    law: Tables = random_tables(3, 3, 0.8, np.random.default_rng(3))
    rng, counts = np.random.default_rng(6), ContextCounts()
    balls = pair_balls(counts, 0.0, NAMES)
    before = copy.deepcopy(balls.log_e_values)
    assert before == pytest.approx(np.zeros(len(EPSILONS)), abs=1e-9)
    for _ in range(20):
        first, second = decode(law, 32, rng), decode(law, 32, rng, coupled=False)
        balls.bet(Pairs(first, second))
        counts.learn(first, second)
    assert balls.largest.max() < math.log(1e8)


def test_the_resolution_is_found() -> None:
    """Fair coins but for an excess; one stake of the mixture wins as often as is claimed."""
    rng, num, threshold = np.random.default_rng(8), 4_000, math.log(1e6)
    excess = one_coin(threshold, math.log(1 / 50), num, STAKES)
    probs = np.array([0.25 + excess / 2, 0.5, 0.25 - excess / 2])
    found = 0
    for _ in range(100):
        d = rng.choice([1, 0, -1], size=(1, num), p=probs)
        growth = coins_of(d).growth(np.array([0.0]))[0, :, 0]
        found += bool(growth.max() + math.log(1 / 50) >= threshold)
    assert found >= 90
    assert one_coin(threshold, 0.0, 0, STAKES) == 1.0
