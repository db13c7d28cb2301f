"""Bets on how often a token occurred before: exact martingales of known cost that find a penalty applied twice."""

from __future__ import annotations

import numpy as np
import pytest

from scd_analysis.evidence.batch import make_batch
from scd_analysis.evidence.catalogue import standard_portfolio
from scd_analysis.evidence.occurrences import OCCURRENCES, of_occurrences, times_before
from scd_analysis.evidence.portfolio import Portfolio
from tests.evidence.batches import ancestral, assert_exact_martingale, batch_of
from tests.evidence.decoders import Floats, Longs, draw, random_tables
from tests.statistics import ledger

STANDS = {
    of: ledger(f"occurrences: a right decoder is not refuted at 1e-7, {of}", 1e-7) for of in ("6", "300", "a table")
}


def _penalised(law: Floats, tokens: Longs, nats: float) -> Floats:
    """Take so many nats off every token for each time that it occurred before, Float[S, N, V]."""
    out = law.copy()
    for j in range(1, tokens.shape[1]):
        for before in range(j):
            out[np.arange(len(tokens)), j, tokens[:, before]] *= np.exp(-nats)
    return out / out.sum(axis=-1, keepdims=True)


def test_occurrences_by_hand() -> None:
    """Of 1 0 1 1: nothing; one 1; a 0 and a 1; a 0 and two 1."""
    batch = make_batch(np.array([[1, 0, 1, 1]]), np.full((1, 4, 2), 0.5), np.zeros((1, 4)))
    assert times_before(batch).tolist() == [[[0, 0], [0, 1], [1, 1], [1, 2]]]
    assert times_before(batch) is times_before(batch)
    two_back = next(feature for feature in OCCURRENCES if feature.name == "two-back")
    assert two_back.values(batch)[0].argmax(axis=-1)[2:].tolist() == [1, 0]
    assert not two_back.values(batch)[0, :2].any()


def test_bets_on_occurrences_are_exact_martingales() -> None:
    portfolio, rng = Portfolio(of_occurrences(4, together=True)), np.random.default_rng(0)
    tables = random_tables(3, 4, 0.8, np.random.default_rng(3))
    assert_exact_martingale(portfolio, tables, rng.integers(3, size=(200, 4)))


@pytest.mark.parametrize("vocab_size", [6, 300])
def test_a_penalty_applied_twice_is_found(vocab_size: int) -> None:
    """With 0.5 nats a time and 20 tokens; alone where the vocabulary is too large for a tilt along all directions.

    A right decoder is refuted with probability below 1e-7. The faulty one was refuted in 20 of 20 runs within 100
    sequences of 6 and of 300 tokens.
    """
    rng, found = np.random.default_rng(1), {}
    for nats in (0.0, 0.5):
        portfolio = standard_portfolio(vocab_size, 20)
        tokens = np.zeros((100, 20), dtype=np.int64)
        laws = np.repeat(rng.dirichlet(np.full(vocab_size, 6 / vocab_size), size=(100, 1)), 20, axis=1)
        for j in range(20):
            tokens[:, j] = draw(_penalised(laws, tokens, nats)[:, j], rng.random(100))
        for part in make_batch(tokens, laws, rng.random(tokens.shape)).chunks(0, 0.25, 16):
            portfolio.bet(part)
        found[nats] = portfolio
    assert found[0.0].log_e_value < -np.log(STANDS[str(vocab_size)])
    assert found[0.5].log_e_value > np.log(1e6)
    best = max(found[0.5].families(), key=lambda family: family.log_e_value)
    assert best.name.startswith("occurrences")
    assert "occurred" in best.message


@pytest.mark.parametrize(("vocab_size", "num_tokens"), [(3, 4), (16, 64), (2000, 64)])
def test_what_they_cost_the_other_bettors_is_known(vocab_size: int, num_tokens: int) -> None:
    """At most 0.11 nats: the logarithm of the total weight with them over that without."""
    members = standard_portfolio(vocab_size, num_tokens).members
    total = sum(family.weight for family in members)
    own = sum(family.weight for family in members if family.name.startswith("occurrences"))
    assert 0 < np.log(total / (total - own)) <= 0.111


def test_right_sequences_bring_no_evidence() -> None:
    """A right decoder on a table leaves the mixture of these bettors below 1e6, whatever the seed."""
    tables, rng = random_tables(3, 4, 0.8, np.random.default_rng(3)), np.random.default_rng(5)
    portfolio = Portfolio(of_occurrences(4, together=True))
    tokens = ancestral(tables, 2000, rng)
    path = [portfolio.bet(part) for part in batch_of(tables, tokens, rng.random(tokens.shape)).chunks(0, 0.25, 16)]
    assert np.concatenate(path).max() < -np.log(STANDS["a table"])
