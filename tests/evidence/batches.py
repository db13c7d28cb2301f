"""Batches from small tables."""

from __future__ import annotations

import copy

import numpy as np

from scd_analysis.evidence.batch import Batch, make_batch
from scd_analysis.evidence.portfolio import Portfolio
from scd_analysis.evidence.tabulated import Tabulated, tabulate
from tests.evidence.decoders import Longs, Tables, draw


def ancestral(tables: Tables, num_sequences: int, rng: np.random.Generator) -> Longs:
    """Draw from the target itself."""
    tokens = np.zeros((num_sequences, tables.num_tokens), dtype=np.int64)
    for j in range(tables.num_tokens):
        laws = tables.laws(tokens[:, : tables.num_tokens - 1])[:, j]
        tokens[:, j] = draw(laws, rng.random(num_sequences))
    return tokens


def batch_of(
    tables: Tables,
    tokens: Longs,
    uniforms: np.ndarray,
    table: Tabulated | None = None,
    grid_width: int | None = None,
) -> Batch:
    """Look everything up."""
    laws, companions, cells = (table or tabulate(tables.rows)).look_up(tokens)
    return make_batch(tokens, laws, uniforms, companions, cells, grid_width)


def every_sequence(tables: Tables) -> Longs:
    """Return all V**N sequences in the order of their cells."""
    vocab, length = tables.vocab_size, tables.num_tokens
    powers = vocab ** np.arange(length - 1, -1, -1)
    return (np.arange(vocab**length)[:, None] // powers) % vocab


def assert_exact_martingale(portfolio: Portfolio, tables: Tables, history: Longs) -> None:
    """Sum over all sequences of p(x) times the factor that x would give: one, after a wrong decoder's history."""
    rng = np.random.default_rng(0)
    for part in batch_of(tables, history, rng.random(history.shape)).chunks(0, 0.25, 16):
        portfolio.bet(part)
    total = np.zeros(len(portfolio.arms))
    for tokens, probability in zip(every_sequence(tables), tables.joint(), strict=True):
        after = copy.deepcopy(portfolio)
        after.bet(batch_of(tables, tokens[None], np.zeros((1, tables.num_tokens))))
        total += probability * np.exp(after.log_wealth - portfolio.log_wealth)
    np.testing.assert_allclose(total, 1, rtol=0, atol=1e-9)
    assert np.abs(portfolio.log_wealth).min() > 0  # each has bet
