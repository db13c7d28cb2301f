"""Every arm of every bettor is a martingale, exactly, and bets on nothing but the past."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Batch, Floats, make_batch
from scd_analysis.evidence.bettor import earlier_occurrences
from scd_analysis.evidence.catalogue import FEW_TOKENS, of_long_sequences, standard_portfolio
from scd_analysis.evidence.features import features
from scd_analysis.evidence.openings import Openings
from scd_analysis.evidence.pit import PitBins, PitPairs
from scd_analysis.evidence.portfolio import Family, Portfolio
from scd_analysis.evidence.tabulated import tabulate
from tests.evidence.batches import ancestral, batch_of, every_sequence
from tests.evidence.decoders import Tables, decode, random_tables
from tests.statistics import ledger

STANDS = ledger("long sequences: a right decoder is not refuted at 1e-6", 1e-6)


def _portfolio(tables: Tables) -> Portfolio:
    return standard_portfolio(tables.vocab_size, tables.num_tokens, tuple(tabulate(tables.rows).companions))


def _expected_growth_at(portfolio: Portfolio, tables: Tables, variate: Floats, grid_width: int | None = None) -> Floats:
    total = np.zeros(len(portfolio.arms))
    for tokens, probability in zip(every_sequence(tables), tables.joint(), strict=True):
        after = copy.deepcopy(portfolio)
        after.bet(batch_of(tables, tokens[None], variate[None], grid_width=grid_width))
        total += probability * np.exp(after.log_wealth - portfolio.log_wealth)
    return total


@pytest.mark.slow
def test_every_arm_that_needs_no_pit_is_an_exact_martingale(tables: Tables) -> None:
    """Sum over all 81 sequences of p(x) times the factor that x would give: one, after any history."""
    portfolio, rng = _portfolio(tables), np.random.default_rng(0)
    history = decode(tables, 300, rng, fault="residual-from-target")
    for part in batch_of(tables, history, rng.random(history.shape)).chunks(0, 0.25, 16):
        portfolio.bet(part)
    free = np.array([not arm.startswith("pit-") for arm in portfolio.arms])
    growth = _expected_growth_at(portfolio, tables, rng.random(tables.num_tokens))
    np.testing.assert_allclose(growth[free], 1, rtol=0, atol=1e-9)
    assert np.abs(portfolio.log_wealth[free]).min() > 0  # no arm passes by never betting


@pytest.mark.slow
def test_bettors_of_long_sequences_are_exact_martingales() -> None:
    """By themselves, since the standard portfolio has them for sequences that are too long to be summed over."""
    tables, rng = random_tables(2, 8, 0.8, np.random.default_rng(3)), np.random.default_rng(0)
    portfolio = Portfolio(of_long_sequences(2, 8, 4))
    history = decode(tables, 300, rng, fault="residual-from-target")
    for part in batch_of(tables, history, rng.random(history.shape), grid_width=4).chunks(0, 0.25, 16):
        portfolio.bet(part)
    growth = _expected_growth_at(portfolio, tables, rng.random(8), grid_width=4)
    np.testing.assert_allclose(growth, 1, rtol=0, atol=1e-9)
    assert np.abs(portfolio.log_wealth).min() > 0


def test_long_sequences_have_bettors_of_their_own() -> None:
    """And a first row that leans to its first token is found by them."""
    for num_tokens, there in ((FEW_TOKENS, False), (FEW_TOKENS + 1, True)):
        names = {family.name for family in standard_portfolio(4, num_tokens).members}
        assert (names & {"long-directed", "opening-more", "opening-less", "long-ridge"} != set()) is there
    rng = np.random.default_rng(0)
    tokens, laws = rng.integers(4, size=(200, 32)), np.full((200, 32, 4), 0.25)
    portfolio = standard_portfolio(4, 32)
    portfolio.bet(make_batch(tokens, laws, rng.random(tokens.shape)))
    assert portfolio.log_e_value < -np.log(STANDS)
    tokens = rng.integers(4, size=(200, 32))
    leaning = np.where(rng.random(tokens.shape) < 0.3, tokens[:, :1], tokens)
    leaning[:, 4:] = tokens[:, 4:]
    portfolio.bet(make_batch(leaning, laws, rng.random(tokens.shape)))
    assert portfolio.log_e_value > np.log(1e6)
    best = max(portfolio.families(), key=lambda family: family.log_e_value)
    assert best.name.startswith(("long-", "opening-"))
    assert "first token comes again too often" in best.message


def test_an_opening_that_avoids_its_first_token_is_found() -> None:
    """By the other arm; and only a token that is known beforehand can be bet on so."""
    rng = np.random.default_rng(0)
    tokens, laws = rng.integers(4, size=(200, 32)), np.full((200, 32, 4), 0.25)
    tokens[:, 2] = (tokens[:, 0] + 1 + tokens[:, 2] % 3) % 4
    portfolio = standard_portfolio(4, 32)
    portfolio.bet(make_batch(tokens, laws, rng.random(tokens.shape)))
    best = max(portfolio.families(), key=lambda family: family.log_e_value)
    assert best.name == "opening-less"
    assert best.message == "a sequence's first token comes again too rarely, most at position 2"
    assert best.log_e_value > np.log(1e6)
    with pytest.raises(TypeError, match="'sharpness': its values must be an AtToken"):
        Openings(features()[0], 4, (1.0,))


def test_pit_arms_are_exact_martingales(dyadic: Tables) -> None:
    """Integrate over the PIT variates too: 1/4 or 1/2 holds 2 or 4 of 8 bins, so 4 variates a token do."""
    rng = np.random.default_rng(1)
    bettors = [PitBins("rank", (2, 8)), PitBins("token", (4, 8)), PitPairs((2, 4))]
    portfolio = Portfolio([Family(f"pit-{i}", 1, bettor) for i, bettor in enumerate(bettors)])
    history = rng.integers(3, size=(40, 2))
    portfolio.bet(batch_of(dyadic, history, rng.random(history.shape)))
    grid = (np.arange(4) + 0.5) / 4
    growth = [_expected_growth_at(portfolio, dyadic, np.array([first, second])) for first in grid for second in grid]
    np.testing.assert_allclose(np.mean(growth, axis=0), 1, rtol=0, atol=1e-9)


def test_a_bettor_that_peeks_is_not_a_martingale(tables: Tables) -> None:
    """The twin: the check above must see a bet that knows the token it bets on."""

    class Peeks:
        arms = ("peeks",)

        def bet(self, batch: Batch) -> Floats:
            return 0.1 - 0.05 * batch.tokens[:, :1].astype(float)

        def describe(self, arm: int) -> str:
            return "sees the future"

    portfolio = Portfolio([Family("peeks", 1, Peeks())])
    assert abs(_expected_growth_at(portfolio, tables, np.zeros(4))[0] - 1) > 0.01


def test_bets_depend_on_the_past_only(tables: Tables) -> None:
    rng = np.random.default_rng(2)
    tokens, uniforms = ancestral(tables, 60, rng), rng.random((60, 4))
    other, other_uniforms = tokens.copy(), uniforms.copy()
    other[40:] = ancestral(tables, 20, rng)
    other_uniforms[40:] = rng.random((20, 4))
    first, second = _portfolio(tables), _portfolio(tables)
    for portfolio in (first, second):
        portfolio.bet(batch_of(tables, tokens[:30], uniforms[:30]))
    path = first.bet(batch_of(tables, tokens[30:], uniforms[30:]))
    changed = second.bet(batch_of(tables, other[30:], other_uniforms[30:]))
    np.testing.assert_array_equal(path[:10], changed[:10])
    assert (path[10:] != changed[10:]).any()


def test_impossible_token_refutes_outright() -> None:
    tables = Tables((np.array([[0.5, 0.5, 0.0]]),))
    portfolio, tokens = _portfolio(tables), np.array([[0], [1], [2], [0]])
    path = portfolio.bet(batch_of(tables, tokens, np.full((4, 1), 0.5)))
    assert np.isfinite(path[:2]).all()
    assert (path[2:] == np.inf).all()
    assert portfolio.log_e_value == np.inf


def test_nan_is_an_error(tables: Tables) -> None:
    class Broken:
        arms = ("broken",)

        def bet(self, batch: Batch) -> Floats:
            return np.full((len(batch), 1), np.nan)

        def describe(self, arm: int) -> str:
            return ""

    portfolio = Portfolio([Family("broken", 1, Broken())])
    with pytest.raises(InputError, match=r"log bets\[0\] of arm 'broken' = nan"):
        portfolio.bet(batch_of(tables, np.zeros((2, 4), dtype=np.int64), np.zeros((2, 4))))


def test_earlier_occurrences_by_hand() -> None:
    """5 3 5 5 3 -> 0 0 1 2 1."""
    assert earlier_occurrences(np.array([5, 3, 5, 5, 3])).tolist() == [0, 0, 1, 2, 1]


def test_portfolio_needs_bettors_with_weight() -> None:
    with pytest.raises(InputError, match="families is empty"):
        Portfolio([])
