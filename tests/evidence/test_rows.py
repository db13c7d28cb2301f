"""Bets on rows are martingales, exactly; and what is told of halves takes two halves to tell."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from scd_analysis.evidence.batch import Rows
from scd_analysis.evidence.features import features
from scd_analysis.evidence.halves import WORDS, Halves
from scd_analysis.evidence.portfolio import Family, Portfolio
from scd_analysis.evidence.rows import SETS, ByRow, MixedRows, families_by_row
from scd_analysis.evidence.tabulated import tabulate
from tests.evidence.batches import ancestral, batch_of, every_sequence
from tests.evidence.decoders import Tables, decode, random_tables


def _bet(portfolio: Portfolio, tables: Tables, tokens: np.ndarray, number: np.ndarray, size: int) -> np.ndarray:
    batch = batch_of(tables, tokens, np.full(tokens.shape, 0.5))
    return portfolio.bet(replace(batch, rows=Rows(number, size)))


@pytest.fixture(scope="module")
def small() -> Tables:
    return random_tables(3, 2, 0.8, np.random.default_rng(3))


def _learned(small: Tables) -> Portfolio:
    portfolio, rng = Portfolio(families_by_row(2, features(), by_half=True, mixed=True)), np.random.default_rng(0)
    for _ in range(3):
        history = decode(small, 130, rng, fault="residual-from-target")
        for start, stop in ((0, 50), (50, 130)):
            _bet(portfolio, small, history[start:stop], np.arange(start, stop), 130)
    return portfolio


@pytest.mark.parametrize("first", [0, 4, 64])
def test_every_arm_on_rows_is_an_exact_martingale(small: Tables, first: int) -> None:
    """Sum over all 9 x 9 pairs of neighbouring rows of their probability times the factor that they would give: one."""
    portfolio, law, every = _learned(small), small.joint(), every_sequence(small)
    total = np.zeros(len(portfolio.arms))
    for i, one in enumerate(every):
        for k, other in enumerate(every):
            after = copy.deepcopy(portfolio)
            _bet(after, small, np.stack([one, other]), np.arange(first, first + 2), 129)
            total += law[i] * law[k] * np.exp(after.log_wealth - portfolio.log_wealth)
    np.testing.assert_allclose(total, 1, rtol=0, atol=1e-9)
    assert np.abs(portfolio.log_wealth).min() > 0  # no arm passes by never betting


def test_wealth_that_looks_at_later_rows_counts_at_the_end_of_a_part_only(small: Tables) -> None:
    portfolio = Portfolio([Family("rows-mixed", 1, MixedRows(2), at_ends=True), Family("by-row", 1, ByRow())])
    tokens = ancestral(small, 40, np.random.default_rng(1))
    paths = [_bet(portfolio, small, tokens[start : start + 20], np.arange(start, start + 20), 40) for start in (0, 20)]
    alone = ByRow()
    batch = replace(batch_of(small, tokens, np.full(tokens.shape, 0.5)), rows=Rows(np.arange(40), 40))
    weights = np.log(np.full(len(alone.arms), 1 / 2 / len(alone.arms)))
    wealth = np.cumsum(np.concatenate([alone.bet(batch.part(0, 20)), alone.bet(batch.part(20, 40))]), axis=0)
    expected = np.logaddexp.reduce(weights + wealth, axis=1)
    np.testing.assert_allclose(np.concatenate(paths)[:19], expected[:19])
    np.testing.assert_allclose(paths[1][:-1], expected[20:39])
    assert portfolio.log_e_value == paths[1][-1] > expected[-1]


def test_a_bet_on_other_rows_shows_as_one_where_it_counts_in_between(small: Tables) -> None:
    """The twin: without ``at_ends`` the path between would look at rows that are not there yet."""
    tokens = ancestral(small, 60, np.random.default_rng(2))
    other = tokens.copy()
    other[41:, 0] = (other[41:, 0] + 1) % 3
    for at_ends in (True, False):
        paths = []
        for rows in (tokens, other):
            portfolio = Portfolio([Family("rows-mixed", 1, MixedRows(2), at_ends=at_ends), Family("b", 1, ByRow())])
            _bet(portfolio, small, rows[:30], np.arange(30), 60)
            paths.append(_bet(portfolio, small, rows[30:], np.arange(30, 60), 60))
        assert np.allclose(paths[0][:11], paths[1][:11], rtol=0, atol=1e-12) == at_ends


def test_without_rows_nothing_is_bet(small: Tables) -> None:
    portfolio = Portfolio(families_by_row(2, features(), by_half=True, mixed=True))
    tokens = ancestral(small, 30, np.random.default_rng(1))
    portfolio.bet(batch_of(small, tokens, np.full(tokens.shape, 0.5)))
    assert not portfolio.log_wealth.any()


def test_sets_are_what_their_words_say() -> None:
    number, among = np.arange(70), {one.kind: one.among(np.arange(70), 70) for one in SETS}
    words = {one.kind: one.words for one in SETS}
    for kind, at, rows in (
        ("half", 0, number[:35]),
        ("period", words["period"].index("in every 4th row of a batch, from row 3 on"), number[3::4]),
        ("row", 3, [3]),
        ("row-again", 3, [3, 67]),
        ("later", 1, number[8:]),
        ("last", 0, [69]),
        ("size", 0, number),
        ("size", 1, []),
        ("size", 2, number),
    ):
        assert np.flatnonzero(among[kind][:, at]).tolist() == list(rows), words[kind][at]
    assert all(among[one.kind].shape == (70, len(one.words)) for one in SETS)


@pytest.mark.parametrize("half", [0, 1])
def test_a_half_is_named_where_the_other_is_as_it_should_be(half: int) -> None:
    rng, rows = np.random.default_rng(0), Rows(np.arange(40), 40)
    values = rng.choice([-0.5, 0.5], size=(40, 5))
    departing = values + 0.9 * ((2 * rows.number < 40) == (half == 0))[:, None]
    for numbers, words in ((departing, WORDS[half]), (values, ""), (values + 0.9, "")):
        halves = Halves(1)
        halves.add(0, numbers, rows)
        assert halves.where(0) == words
    halves = Halves(1)
    halves.add(0, departing[half * 20 :][:20], Rows(rows.number[half * 20 :][:20], 40))
    assert halves.where(0) == ""  # of the other half nothing was seen


def test_companions_of_a_tabulated_model_are_bet_on_by_half(small: Tables) -> None:
    table, rng = tabulate(small.rows), np.random.default_rng(4)
    by_half = families_by_row(2, features(tuple(table.companions)), by_half=True, mixed=False)[-1].bettor
    tokens = ancestral(small, 200, rng)
    tokens[100:] = decode(small, 100, rng, fault="argmax-draft")
    batch = replace(batch_of(small, tokens, rng.random(tokens.shape), table), rows=Rows(np.arange(200), 200))
    wealth = sum(by_half.bet(part).sum(axis=0) for part in batch.chunks(0, 0.25, 16))
    assert wealth[1] > wealth[0]
