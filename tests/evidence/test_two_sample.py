"""Bets on which sequence of a pair is of which arm: fair whatever was learned, and strong where the arms differ."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scd_analysis.errors import InputError
from scd_analysis.evidence.contexts import ContextCounts
from scd_analysis.evidence.two_sample import (
    BLOCKS,
    Agreement,
    Contexts,
    Features,
    Independence,
    Mixture,
    TwoSample,
    log_factor,
)
from tests.evidence.decoders import Longs

TOKENS = st.integers(1, 6).flatmap(
    lambda length: st.tuples(
        arrays(np.int64, (12, length), elements=st.integers(0, 2)),
        arrays(np.int64, (12, length), elements=st.integers(0, 2)),
        arrays(np.int64, (2, length), elements=st.integers(0, 3)),
        arrays(np.int64, (2, length), elements=st.integers(0, 3)),
    )
)


def test_the_factor_by_hand() -> None:
    """a(x) b(y) = 3 and a(y) b(x) = 1: 2 x 3 / 4, and exchanged 2 x 1 / 4."""
    x, y = np.array(math.log(3)), np.array(0.0)
    assert np.exp(log_factor(x, y)) == pytest.approx(1.5, abs=1e-12)
    assert np.exp(log_factor(y, x)) == pytest.approx(0.5, abs=1e-12)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(TOKENS)
def test_every_bet_is_fair_under_exchange(drawn: tuple[Longs, Longs, Longs, Longs]) -> None:
    """Whatever came before: the mean over both orders of each of two pairs is one, to the last digits."""
    earlier_on, earlier_off, on, off = drawn
    learned = TwoSample()
    learned.bet(earlier_on, earlier_off)
    growths = []
    for exchanged in itertools.product((False, True), repeat=2):
        other = np.array(exchanged)[:, None]
        one = copy.deepcopy(learned)
        before = one.mixture.log_wealth.copy()
        one.bet(np.where(other, off, on), np.where(other, on, off))
        growths.append(one.mixture.log_wealth - before)
    of_pairs = [not arm.endswith("neighbours") and "-neighbours" not in arm for arm in learned.mixture.arms]
    assert np.exp(growths).mean(axis=0)[of_pairs] == pytest.approx(1, abs=1e-9)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(TOKENS)
def test_blocks_are_fair_under_exchange(drawn: tuple[Longs, Longs, Longs, Longs]) -> None:
    earlier_on, earlier_off, on, off = drawn
    learned = Agreement(2)
    learned.bet(earlier_on, earlier_off)
    growths = [copy.deepcopy(learned).bet(*pair) for pair in ((on, off), (off, on))]
    assert np.exp(growths).mean(axis=0) == pytest.approx(1, abs=1e-9)


def sequences_of(index: int, many: int) -> Longs:
    """The ``index``-th of all ways to draw ``many`` sequences of one token of two."""
    return np.array([[index >> i & 1] for i in range(many)], dtype=np.int64)


@pytest.mark.slow
def test_the_whole_process_has_mean_one() -> None:
    """Every way that three pairs can come, each bet on after one has learned from those before it; p(1) = 0.8."""
    total = 0.0
    for index in range(2**6):
        tokens = sequences_of(index, 6)
        probability = np.where(tokens == 1, 0.8, 0.2).prod()
        process = TwoSample()
        for i in range(3):
            value = process.bet(tokens[i : i + 1], tokens[3 + i : 4 + i])
        total += probability * math.exp(value)
    assert total == pytest.approx(1, abs=1e-12)


def test_independence_has_mean_one() -> None:
    """Every way that two batches of four can come; p(1) = 0.8."""
    total = 0.0
    for index in range(2**8):
        tokens = sequences_of(index, 8)
        process = Independence()
        process.bet(tokens[:4])
        total += np.where(tokens == 1, 0.8, 0.2).prod() * math.exp(process.bet(tokens[4:]))
    assert total == pytest.approx(1, abs=1e-12)


def test_a_bet_that_looks_at_its_own_pair_is_not_fair() -> None:
    """The twin: a bettor that learns first and bets then has a mean above one."""
    total = 0.0
    for index in range(2**8):
        tokens = sequences_of(index, 8)
        counts = ContextCounts()
        counts.learn(tokens[:4], tokens[4:])
        value = Mixture([("contexts", 1.0, Contexts(counts))]).bet(tokens[:4], tokens[4:])
        total += np.where(tokens == 1, 0.8, 0.2).prod() * math.exp(value)
    assert total > 1.1


def test_neighbours_that_share_a_seed_are_found_and_told() -> None:
    rng = np.random.default_rng(3)
    tokens = np.repeat(rng.integers(8, size=(64, 5)), 2, axis=0)
    process = Independence()
    process.bet(tokens)
    assert process.bet(tokens) > math.log(1e6)
    alike = Independence()
    for token in (0, 1):
        found = alike.bet(np.full((64, 5), token))
    assert found == math.inf
    same = Independence()
    for _ in range(8):
        found = same.bet(np.zeros((64, 5), dtype=np.int64))  # as greedy decoding is
    assert found == pytest.approx(0)


def test_features_say_what_differs() -> None:
    """Sixty pairs; a token that is doubled, and one that never comes twice."""
    rng = np.random.default_rng(4)
    doubled = np.repeat(rng.integers(8, size=(60, 2)), 2, axis=1)
    plain = np.array([rng.permutation(8)[:4] for _ in range(60)])
    features = Features(ContextCounts())
    growth = features.bet(doubled, plain)
    assert growth.max() > math.log(1e6)
    assert features.describe(int(growth.argmax()), ("on", "off")) in (
        "a token is repeated at once more often on than off",
        "tokens of a sequence come again in it more often on than off",
    )


def test_the_token_that_differs_most_is_named() -> None:
    counts = ContextCounts()
    counts.learn(np.array([[0, 1], [0, 2], [0, 2]]), np.array([[0, 1], [0, 1], [0, 1]]))
    said = counts.most_different("position-previous", ("on", "off"))
    assert said in (
        "token 1 came at position 1 after token 0 1 of 3 times on, and 3 of 3 times off",
        "token 2 came at position 1 after token 0 2 of 3 times on, and 0 of 3 times off",
    )
    assert "whole sequences" in counts.most_different("prefix", ("on", "off"))


def test_nan_is_an_error() -> None:
    class Lost(Agreement):
        def bet(self, first: Longs, second: Longs) -> np.ndarray:
            return np.full(len(self.arms), np.nan)

    with pytest.raises(InputError, match="2-neighbours:equal:10' = nan"):
        Mixture([("lost", 1.0, Lost(BLOCKS[0]))]).bet(np.zeros((2, 1), dtype=np.int64), np.ones((2, 1), dtype=np.int64))
