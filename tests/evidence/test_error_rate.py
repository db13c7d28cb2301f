"""The portfolio refutes a lossless decoder as rarely as it says, and a faulty one surely."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scd_analysis.evidence.catalogue import standard_portfolio
from scd_analysis.evidence.tabulated import Tabulated, tabulate
from tests.evidence.batches import batch_of, every_sequence
from tests.evidence.decoders import FAULTS, Longs, Tables, decode, random_tables
from tests.statistics import assert_rate_at_most, ledger

MODELS = {"peaked": (2, 5, 0.3), "usual": (3, 4, 0.8), "flat": (4, 3, 5.0)}


def _largest(tables: Tables, table: Tabulated, tokens: Longs, rng: np.random.Generator) -> float:
    """Return the largest ln E over time: optional stopping at its worst."""
    portfolio = standard_portfolio(tables.vocab_size, tables.num_tokens, tuple(table.companions))
    batch = batch_of(tables, tokens, rng.random(tokens.shape), table)
    return max(float(portfolio.bet(part).max()) for part in batch.chunks(0, 0.5, 50))


ALPHA = 0.5
"""Loose, so that a martingale that never moves would be noticed: lossless decoders cross it about one time in five."""

TRIALS = 90
TYPE_ONE = ledger("portfolio: type I, both couplings", 2e-6, power=0.99, resolution=0.36)  # of the rate: .86, not .5
NOT_VACUOUS = ledger("portfolio: some lossless decode crosses, both couplings", 2e-6)  # at a rate of .15


@pytest.mark.slow
@pytest.mark.parametrize("coupled", [True, False])
def test_lossless_decoders_are_refuted_no_more_than_alpha(coupled: bool) -> None:
    """90 decodes of 200 sequences, ln E at its largest: at most alpha by its binomial bound, and not never."""
    rng, hits = np.random.default_rng(10 + coupled), 0
    for vocab, length, concentration in MODELS.values():
        tables = random_tables(vocab, length, concentration, rng)
        table, runs = tabulate(tables.rows), TRIALS // len(MODELS)
        tokens = decode(tables, 200 * runs, rng, coupled=coupled).reshape(runs, 200, length)
        hits += sum(_largest(tables, table, tokens[i], rng) >= math.log(1 / ALPHA) for i in range(runs))
    assert_rate_at_most(hits, TRIALS, ALPHA, false_fail_rate=TYPE_ONE / 2)
    assert hits > 0


MOVED = ledger("portfolio: refutes a tenth of one cell's mass moved", 1e-6, power=1 - 1e-6, resolution=0.02)


@pytest.mark.slow
def test_one_moved_cell_is_refuted(tables: Tables) -> None:
    """A tenth of the likeliest cell's mass goes to its neighbour; all other cells are right."""
    law, table, rng = tables.joint(), tabulate(tables.rows), np.random.default_rng(6)
    likeliest = int(law.argmax())
    law[(likeliest + 1) % len(law)] += 0.1 * law[likeliest]
    law[likeliest] *= 0.9
    tokens = every_sequence(tables)[rng.choice(len(law), size=20_000, p=law)]
    assert _largest(tables, table, tokens, rng) >= math.log(1e6)


SEQUENCES = {"stale-law": 60_000, "temperature": 60_000, "fresh-match": 30_000}
"""Several times the mean stopping time, so that a refutation is missed with probability far below 5e-7."""

POWER = {fault: ledger(f"portfolio: refutes {fault}", 5e-7) for fault in FAULTS}


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_planted_fault_is_refuted(fault: str) -> None:
    """At alpha = 1e-6 on one table, total variations from .02 to .6."""
    tables = random_tables(3, 4, 0.8, np.random.default_rng(3))
    table, rng, seen = tabulate(tables.rows), np.random.default_rng(5), 0
    portfolio = standard_portfolio(3, 4, tuple(table.companions))
    while seen < SEQUENCES.get(fault, 15_000) and portfolio.log_e_value < math.log(1e6):
        size = max(300, seen // 2)
        tokens = decode(tables, size, rng, fault=fault)
        for part in batch_of(tables, tokens, rng.random(tokens.shape), table).chunks(seen, 0.1, 16):
            portfolio.bet(part)
        seen += size
    assert portfolio.log_e_value >= math.log(1e6), f"{fault}: ln E = {portfolio.log_e_value:.2f} after {seen}"
