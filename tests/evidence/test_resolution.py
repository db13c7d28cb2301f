"""The resolution is what it says: a departure of that size is found, one of a third of it is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scd_analysis.evidence.batch import Floats
from scd_analysis.evidence.catalogue import CONCENTRATIONS, PRIOR_TOKENS, standard_portfolio
from scd_analysis.evidence.features import features
from scd_analysis.evidence.resolution import every_cell, one_direction
from scd_analysis.evidence.tabulated import tabulate
from tests.evidence.batches import batch_of, every_sequence
from tests.evidence.decoders import Tables
from tests.statistics import assert_rate_at_least, ledger

LOG_THRESHOLD, SEQUENCES, RUNS = math.log(1e6), 800, 10
FOUND = ledger("resolution: a power of 0.99 along three directions", 3e-6, power=0.99, resolution=0.8)  # of the power
DIRECTIONS = ("sharpness", "previous-token", "every cell")


def _weight(tables: Tables, family: str) -> float:
    portfolio = standard_portfolio(tables.vocab_size, tables.num_tokens, tuple(tabulate(tables.rows).companions))
    chosen = zip(portfolio.arms, portfolio.log_weights, strict=True)
    return float(next(weight for arm, weight in chosen if arm.startswith(family)))


def _tilted(tables: Tables, direction: str, total_variation: float, rng: np.random.Generator) -> Floats:
    """Return a law of all sequences at this total variation from the target along a direction."""
    law, sequences = tables.joint(), every_sequence(tables)
    score = rng.normal(size=len(law))
    if direction != "every cell":
        feature = next(f for f in features() if f.name == direction)
        batch = batch_of(tables, sequences, np.zeros(sequences.shape))
        values = feature.values(batch)
        own = np.take_along_axis(values, sequences[..., None], axis=-1)[..., 0]
        score = (own - (batch.target_probs * values).sum(axis=-1)).sum(axis=1)
    low, high = 0.0, 50.0
    for _ in range(50):
        middle = (low + high) / 2
        tilted = law * np.exp(middle * score)
        tilted /= tilted.sum()
        low, high = (middle, high) if np.abs(tilted - law).sum() / 2 < total_variation else (low, middle)
    return np.asarray(tilted)


def _stated(tables: Tables, direction: str) -> float:
    if direction == "every cell":
        weight, cells = _weight(tables, "joint-cells:"), len(tables.joint())
        return every_cell(LOG_THRESHOLD, weight, SEQUENCES, cells, CONCENTRATIONS)
    tokens = SEQUENCES * tables.num_tokens
    weight = _weight(tables, "directed:")
    return one_direction(LOG_THRESHOLD, weight, SEQUENCES, tokens, np.asarray(PRIOR_TOKENS))


def _found(tables: Tables, law: Floats, rng: np.random.Generator) -> int:
    table, hits = tabulate(tables.rows), 0
    for _ in range(RUNS):
        tokens = every_sequence(tables)[rng.choice(len(law), size=SEQUENCES, p=law)]
        portfolio = standard_portfolio(tables.vocab_size, tables.num_tokens, tuple(table.companions))
        batch = batch_of(tables, tokens, rng.random(tokens.shape), table)
        hits += any((portfolio.bet(part) >= LOG_THRESHOLD).any() for part in batch.chunks(0, 0.5, 64))
    return hits


@pytest.mark.slow
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_departure_of_the_stated_size_is_found(tables: Tables, direction: str) -> None:
    rng = np.random.default_rng(1)
    law = _tilted(tables, direction, _stated(tables, direction), rng)
    assert_rate_at_least(_found(tables, law, rng), RUNS, 0.99, false_fail_rate=FOUND / len(DIRECTIONS))


@pytest.mark.slow
def test_a_third_of_it_is_mostly_missed(tables: Tables) -> None:
    """The twin: the resolution is not so coarse that everything below it is found as well."""
    rng = np.random.default_rng(2)
    law = _tilted(tables, "sharpness", _stated(tables, "sharpness") / 3, rng)
    assert _found(tables, law, rng) < RUNS / 2


def test_resolution_sharpens_with_the_sequences() -> None:
    sizes = [every_cell(LOG_THRESHOLD, -5, n, 81, CONCENTRATIONS) for n in (100, 1000, 10_000, 100_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 4 * sizes[2]
    lines = [one_direction(LOG_THRESHOLD, -5, n, 4 * n, np.asarray(PRIOR_TOKENS)) for n in (1, 100, 10_000)]
    assert lines[0] == 1.0
    assert lines == sorted(lines, reverse=True)
