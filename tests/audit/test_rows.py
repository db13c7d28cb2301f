"""What is wrong in some rows of every batch is found, and said so; what differs by row and is right passes.

A lossless subject is refuted with probability 1e-6 at most; the faults here are refuted within a few hundred sequences.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import reference
from scd_analysis import Outcome, audit
from scd_analysis.audit.commits import read_commits
from scd_analysis.audit.tally import GROUPS, Tally, places
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Rows
from scd_analysis.exact import SampledDraws
from scd_analysis.subjects import ancestral, recorded
from tests.audit.loop import Loop
from tests.evidence.decoders import random_tables
from tests.statistics import ledger

TABLES = random_tables(3, 5, 0.7, np.random.default_rng(1))
STANDS = ledger("rows: right decoders that differ by row, at 1e-7", 4e-7)


def decoder(other=None, power=None):
    """Draws position by position; from the law of another row, or from a sharpened or flattened one."""

    def decode(model, num_sequences, seed):
        rng, rows = np.random.default_rng(seed), np.arange(num_sequences)
        tokens = np.zeros((num_sequences, 5), dtype=np.int64)
        for j in range(5):
            law = TABLES.laws(tokens[:, :j])[:, j]
            if other is not None and j:
                law = law[other(rows, num_sequences)]
            if power is not None:
                law = law ** power(rows, num_sequences)[:, None]
                law = law / law.sum(axis=1, keepdims=True)
            tokens[:, j] = np.minimum((law.cumsum(axis=1) < rng.random((num_sequences, 1))).sum(axis=1), 2)
        return tokens

    return decode


def in_row_three(model, num_sequences, seed):
    tokens = ancestral(model, num_sequences, seed)
    tokens[3::64] = 2
    return tokens


FAULTS = {
    "before": (decoder(other=lambda r, n: (r - 1) % n), "rows of a batch are mixed up: .* the law of the row before"),
    "after": (decoder(other=lambda r, n: (r + 1) % n), "rows of a batch are mixed up: .* the law of the row after"),
    "beside": (decoder(other=lambda r, n: np.minimum(r ^ 1, n - 1)), "mixed up: .* the other row of each two"),
    "no noise": (decoder(power=lambda r, n: np.where(2 * r < n, 50.0, 1.0)), "in the first half of every batch"),
    "flat": (
        decoder(power=lambda r, n: np.where(2 * r < n, 1.0, 0.7)),
        "second half of every batch, the laws are flatter",
    ),
    "row 3": (in_row_three, "in row 3 of every"),
    "every other": (decoder(power=lambda r, n: 1 - 0.5 * (r % 2)), "in every 2nd row of a batch, from row 1 on"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_some_rows_are_found_and_named(name):
    subject, words = FAULTS[name]
    verdict = audit(subject, TABLES, max_sequences=4_000, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.num_sequences <= 1_000
    assert re.search(words, verdict.diagnosis.cause), verdict.diagnosis.cause


@pytest.mark.parametrize("power", [0.6, 2.0])
def test_a_fault_of_all_rows_is_not_told_of_some(power):
    verdict = audit(decoder(power=lambda r, n: np.full(n, power)), TABLES, max_sequences=4_000, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert "batch" not in str(verdict)


@pytest.mark.slow
def test_right_decoders_that_differ_by_row_stand():
    """Half of every batch is decoded by another exact method; and rows in an order of their own."""
    model = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)

    def halves(model, num_sequences, seed):
        first = reference.decode(model, "scd-gs", window=3, num_sequences=num_sequences, seed=seed).tokens.numpy()
        first[num_sequences // 2 :] = ancestral(model, num_sequences, seed)[num_sequences // 2 :]
        return first[np.random.default_rng(seed).permutation(num_sequences)] if seed % 2 else first

    verdict = audit(halves, model, 1e-7, max_sequences=1_000, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED


def test_stored_sequences_have_no_rows():
    stored = audit(recorded(ancestral(TABLES, 300, 0)), TABLES, 1e-7, progress=False)
    drawn = audit(ancestral, TABLES, 1e-7, max_sequences=300, progress=False)
    assert not any(arm.startswith("by-row") for arm in stored.record["bettor_weights"])
    assert any(arm.startswith("by-row") for arm in drawn.record["bettor_weights"])


class SomeRows(Loop):
    """A slip that concerns the rows of the second half."""

    def draws(self, seed, i, num_sequences):
        self.is_wrong = 2 * i >= num_sequences
        return SampledDraws(seed, i)


class Eager(SomeRows):
    """They accept every draft."""

    def acceptance(self, t, j, k, slot, target, draws):
        uniform = float(draws.uniform(self.accept_key(t, j, k)))
        return self.is_wrong or uniform * slot.law[slot.token] < target[slot.token], uniform


class Stale(SomeRows):
    """Their cache holds another last token."""

    def run(self, draws):
        own, wrong = self.law, self.is_wrong
        self.law = lambda prefix: own((*prefix[:-1], (prefix[-1] + 1) % 3) if wrong and prefix else prefix)
        try:
            return super().run(draws)
        finally:
            self.law = own


MODEL = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "condition"), [(Stale, Condition.TARGET), (Eager, Condition.VERIFICATION)])
def test_a_trace_says_in_which_half(kind, condition):
    verdict = audit(kind(MODEL, 3), MODEL, max_sequences=200, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is condition
    assert "in the second half of every batch" in verdict.diagnosis.cause


@pytest.mark.parametrize(("events", "words"), [(20, "in row 3 of every batch"), (1, "")])
def test_events_are_told_where_chance_would_not_put_them(events, words):
    """A hundred of 6,400 places are in row 3: one event may well be there, twenty not."""
    checked, where = np.full(len(GROUPS), 100), np.zeros(len(GROUPS), dtype=int)
    checked[64:] = 3_200
    where[3] = where[64] = events
    found = Tally(where, checked, events, 6_400)
    assert (found + Tally(where * 0, checked, 0, 6_400)).where == words


def test_what_happens_to_rows_ahead_of_another_is_told():
    """Cache rows that are uneven: what a row reads that is ahead of the slowest one is stale."""
    trace = Loop(MODEL, 3)(MODEL, 40, 0)
    commits = read_commits(trace)
    base = np.where(commits.passes.used.any(axis=2), commits.passes.base, np.inf)
    ahead = np.take_along_axis(base > base.min(axis=0), np.maximum(commits.iteration, 0), axis=1)
    at = places(commits, Rows(np.arange(40), 40))
    found = at.tally(commits.drafted & ahead, commits.drafted)
    assert found.where == "where a row is ahead of another one of its batch"
    assert at.tally(commits.drafted, commits.drafted).where == ""
