"""Findings that stand, and sequences that come twice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.errors import InputError, LawError
from scd_analysis.evidence import e_benjamini_hochberg, make_batch, randomised_pit
from scd_analysis.evidence.repeats import FREQUENT, SHARED_SEED, Repeats
from scd_analysis.subjects import ancestral
from tests.statistics import ledger

REPEATS = ledger("audit: one seed for two sequences is refuted, and two seeds are not", 2e-6)


def test_e_benjamini_hochberg_by_hand() -> None:
    """K = 4 at rate .1: thresholds 40, 20, 13.3, 10; of 50, 21, 12, 1 the first two stand."""
    log_e_values = np.log([12.0, 50.0, 1.0, 21.0])
    assert e_benjamini_hochberg(log_e_values, 0.1).tolist() == [False, True, False, True]
    assert e_benjamini_hochberg(np.log([12.0, 14.0, 11.0, 13.0]), 0.1).all()  # the fourth carries the others
    assert not e_benjamini_hochberg(np.log([9.0, 9.0]), 0.1).any()


def test_two_sequences_from_one_seed_are_refuted() -> None:
    """Every sequence comes twice in a row, each with the right law: only independence is broken."""

    class Chain:
        """Each token depends on the one before; too long to count whole sequences."""

        vocab_size, num_tokens = 4, 16
        rows = np.random.default_rng(0).dirichlet(np.ones(4), size=5)

        def next_token_probs(self, tokens: Any) -> np.ndarray:
            before = np.column_stack([np.full(len(tokens), 4), np.asarray(tokens)])
            return np.asarray(self.rows[before])

    def subject(model: Any, num_sequences: int, seed: int) -> np.ndarray:
        return np.repeat(ancestral(model, (num_sequences + 1) // 2, seed), 2, axis=0)[:num_sequences]

    verdict = audit(subject, Chain(), max_sequences=2_000)
    assert audit(ancestral, Chain(), max_sequences=300).outcome is not Outcome.REFUTED
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.num_sequences < 100
    assert verdict.findings[0].name.startswith("repeats")


def test_randomised_pit_by_hand() -> None:
    """Law (.2, .5, .3): by rank token 1, 2, 0; token 2 with w = .5 is at .5 + .15; by number at .7 + .15."""
    law, token, half = np.array([[0.2, 0.5, 0.3]]), np.array([2]), np.array([0.5])
    assert randomised_pit(law, token, half, "rank")[0] == pytest.approx(0.65, abs=1e-15)
    assert randomised_pit(law, token, half, "token")[0] == pytest.approx(0.85, abs=1e-15)


def test_ties_are_broken_by_number() -> None:
    law, half = np.full((3, 4), 0.25), np.full(3, 0.5)
    np.testing.assert_allclose(randomised_pit(law, np.array([0, 2, 3]), half, "rank"), [0.125, 0.625, 0.875])


def test_batches_are_checked() -> None:
    laws = np.full((2, 3, 2), 0.5)
    with pytest.raises(InputError, match="one law each"):
        make_batch(np.zeros((2, 2), dtype=np.int64), laws, np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"tokens\[1, 2\] = 2"):
        make_batch(np.array([[0, 0, 0], [0, 0, 2]]), laws, np.zeros((2, 3)))
    laws[0, 1] = math.nan
    with pytest.raises(LawError, match=r"target_probs\[0, 1, 0\] = nan"):
        make_batch(np.zeros((2, 3), dtype=np.int64), laws, np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("fault", "message"), [("a seed for two", SHARED_SEED), ("a pool", SHARED_SEED), ("a wrong law", FREQUENT)]
)
def test_a_shared_seed_is_told_from_a_wrong_law(fault: str, message: str) -> None:
    """In a small space sequences come again under any law: there only those that come twice in a row tell of seeds.

    Wrong at most with the tail of a normal variable at 4 standard deviations.
    """
    rng, num_tokens = np.random.default_rng(2), 12 if fault == "a pool" else 3
    tokens = rng.integers(3, size=(300, num_tokens))
    if fault == "a seed for two":
        tokens[1::2] = tokens[::2]
    elif fault == "a pool":
        tokens[30:] = tokens[rng.integers(30, size=270)]
    else:
        tokens[rng.random(300) < 0.5] = 0
    bettor = Repeats()
    growth = bettor.bet(make_batch(tokens, np.full((*tokens.shape, 3), 1 / 3), np.zeros(tokens.shape))).sum(axis=0)
    assert growth.max() > np.log(1e6)
    assert bettor.describe(int(growth.argmax())) == message
