"""The certificate bounds what it says, at all times together."""

from __future__ import annotations

import numpy as np
import pytest

from scd_analysis.errors import InputError, LawError
from scd_analysis.evidence.catalogue import CONCENTRATIONS
from scd_analysis.evidence.certificate import TotalVariation
from tests.evidence.decoders import random_tables
from tests.statistics import assert_rate_at_most, ledger

DELTA, RUNS = 0.2, 45
COVERAGE = ledger("certificate: misses no more often than delta", 1e-6, power=0.99, resolution=0.5)  # of the miss rate


@pytest.mark.slow
@pytest.mark.parametrize("moved", [0.0, 0.1])
def test_bounds_hold_at_all_times(moved: float) -> None:
    """45 runs of 2,000 sequences looked at four times each, on the target itself and on a law that is off."""
    rng = np.random.default_rng(0)
    law = random_tables(3, 3, 0.8, rng).joint()
    other = (1 - moved) * law + moved * np.roll(law, 1)
    truth, misses = float(np.abs(other - law).sum() / 2), 0
    for _ in range(RUNS):
        counter, missed = TotalVariation(law, "whole sequences", CONCENTRATIONS), False
        for size in (50, 150, 600, 1200):
            counter.update(rng.choice(len(law), size=size, p=other))
            certificate = counter.certificate(DELTA)
            missed |= not certificate.low <= truth <= certificate.high
        misses += missed
    assert_rate_at_most(misses, RUNS, DELTA, false_fail_rate=COVERAGE / 2)


def test_bounds_close_in() -> None:
    """The twin: a certificate that always said [0, 1] would pass above."""
    law = random_tables(3, 3, 0.8, np.random.default_rng(0)).joint()
    counter = TotalVariation(law, "whole sequences", CONCENTRATIONS)
    assert (counter.certificate(0.01).low, counter.certificate(0.01).high) == (0, 1)
    counter.update(np.repeat(np.arange(len(law)), np.round(100_000 * law).astype(int)))
    certificate = counter.certificate(0.01)
    assert certificate.low == 0
    assert certificate.high < 0.02
    assert "0.99" in str(certificate)
    assert "whole sequences" in str(certificate)


def test_lower_bound_moves_off_zero() -> None:
    law = np.array([0.5, 0.5])
    counter = TotalVariation(law, "the first token", CONCENTRATIONS)
    counter.update(np.repeat([0, 1], [7000, 3000]))
    certificate = counter.certificate(0.01)
    assert 0.15 < certificate.low < 0.2 < certificate.high < 0.25


def test_impossible_cell_is_counted() -> None:
    counter = TotalVariation(np.array([0.5, 0.5, 0.0]), "the first token", CONCENTRATIONS)
    counter.update(np.repeat([0, 1, 2], [450, 450, 100]))
    certificate = counter.certificate(0.01)
    assert 0.02 < certificate.low < 0.1 < certificate.high < 0.3


def test_bad_input() -> None:
    with pytest.raises(LawError, match="target_law"):
        TotalVariation(np.array([0.5, 0.6]), "", CONCENTRATIONS)
    with pytest.raises(InputError, match="there are 2 cells"):
        TotalVariation(np.array([0.5, 0.5]), "", CONCENTRATIONS).update(np.array([2]))
