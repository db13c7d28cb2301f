"""Noise that comes again further away than next door, in the reference decoder with one line changed."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from reference import TabularModel, decode, get_method, kernel, load_model
from reference.draws import exponentials, uniform_pairs
from reference.verification import Check, ModifiedRejection, Verification
from scd_analysis import Outcome, audit
from scd_analysis.audit.conditions.declared_law import DRAFTS
from scd_analysis.audit.conditions.independence import USED_AGAIN
from scd_analysis.audit.diagnosis import diagnose
from scd_analysis.audit.rules.mrs import RULE as MRS
from scd_analysis.audit.watch import Watch
from scd_analysis.conditions import Condition
from tests.statistics import ledger

ACCEPTANCE_AGAIN = USED_AGAIN[0]
MODEL = TabularModel.random(3, 8, 0.5, seed=0)
STANDS = ledger("noise further away: the decoder without the slip is not refuted at 1e-8", 3e-8)
FINDS = ledger("noise further away: the slip is refuted and named", 6e-7)


def verdict_of(method, num_sequences, alpha=1e-6):
    trace = decode(MODEL, method, 4, num_sequences, seed=1, record="laws").trace
    return audit(trace, MODEL, alpha, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sjd", "scd-mc", "scd-gs"])
def test_without_a_slip_nothing_is_found(method):
    assert verdict_of(method, 1_500, STANDS / 3).outcome is not Outcome.REFUTED


def by_rows_of_three(seed, sequence, position, vocab_size, dtype):
    return exponentials(seed, sequence, position % 3, vocab_size, dtype)


@pytest.mark.slow
def test_a_table_of_noise_with_too_few_rows_is_named(monkeypatch):
    monkeypatch.setattr(kernel, "exponentials", by_rows_of_three)
    verdict = verdict_of("scd-gs", 1_500)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.diagnosis.condition is Condition.INDEPENDENCE
    assert verdict.diagnosis.cause == "a draft is drawn with the noise of the position 3 before"


def by_the_ring(seed, sequence, position, vocab_size, dtype):
    return exponentials(seed, sequence, position % 16, vocab_size, dtype)


@pytest.mark.slow
def test_a_ring_that_is_not_filled_anew_is_named(monkeypatch):
    monkeypatch.setattr(kernel, "exponentials", by_the_ring)
    digits = load_model("digits")
    verdict = audit(decode(digits, "scd-gs", 16, 48, record="laws", progress=False).trace, digits, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.diagnosis.condition is Condition.INDEPENDENCE
    assert "of the position a window before" in verdict.diagnosis.cause


def drafts_alike_two_apart(seed, purposes, sequence, position, iteration):
    """Variates that draw drafts of positions 0 and 2, 1 and 3, ... are equal at a pass."""
    own, shared = (uniform_pairs(seed, purposes, sequence, at, iteration) for at in (position, position & ~2))
    return [own[0], shared[1], *own[2:]]


@pytest.mark.slow
def test_drafts_by_the_variates_of_others_are_named(monkeypatch):
    monkeypatch.setattr(kernel, "uniform_pairs", drafts_alike_two_apart)
    verdict = verdict_of("sjd", 1_500)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.diagnosis.condition is Condition.INDEPENDENCE
    assert verdict.diagnosis.cause == "a draft is drawn with the noise of the position 2 before"


def alike_two_apart(seed, purposes, sequence, position, iteration):
    """Acceptance variates of positions 0 and 2, 1 and 3, 4 and 6, ... are equal at a pass."""
    own, shared = (uniform_pairs(seed, purposes, sequence, at, iteration) for at in (position, position & ~2))
    return [(shared[0][0], own[0][1]), *own[1:]]


@pytest.mark.parametrize("method", ["sjd", "scd-gs"])
def test_acceptance_variates_that_are_equal_anywhere_in_a_sequence_are_seen_at_once(method, monkeypatch):
    monkeypatch.setattr(kernel, "uniform_pairs", alike_two_apart)
    verdict = verdict_of(method, 200)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.num_sequences <= 32
    assert verdict.diagnosis.condition is Condition.INDEPENDENCE
    assert verdict.diagnosis.cause == "acceptance variates of two positions of a sequence are equal"


@dataclass(frozen=True)
class HoldsUnlikely(ModifiedRejection):
    """Keeps a replacement for the next pass if it is unlikely."""

    def verify(self, check: Check) -> Verification:
        found = super().verify(check)
        length = (found.accepted & check.in_window).long().cumprod(1).sum(1)
        probs = check.target_probs.gather(-1, found.tokens[..., None])[..., 0]
        of_next = probs.gather(1, length.clamp(max=probs.shape[1] - 1)[:, None])[:, 0]
        held = (length < check.in_window.sum(1)) & (of_next < 0.2)
        return found._replace(limit=torch.where(held, length, check.in_window.shape[1] + 1))


@pytest.mark.slow
def test_replacements_that_are_held_back_are_a_matter_of_selection():
    method = replace(get_method("sjd"), name="holds-unlikely", verification=HoldsUnlikely())
    verdict = verdict_of(method, 4_000)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.diagnosis.condition is Condition.SELECTION
    assert "were left to a later pass" in verdict.diagnosis.cause


def test_what_is_set_aside_does_not_open_the_way_for_something_else():
    """Variates that are recorded can be looked at themselves: what only seems to use them twice says nothing."""
    watch = Watch(MRS, 3, np.random.default_rng(0), np.log(1e6), 1e-4)
    watch.of(ACCEPTANCE_AGAIN).portfolio.log_wealth += 40
    assert diagnose(watch).condition is Condition.INDEPENDENCE
    watch.inconsistent = [0, 50, 100]  # flags follow the variates
    assert diagnose(watch) is None
    watch.of(DRAFTS).portfolio.log_wealth += 30
    assert diagnose(watch).condition is Condition.DECLARED_LAW
