"""Noise that is used twice, in ways that no planted fault of ``reference.broken`` has; and decoders that only look so.

The slips are written in a decoder of their own (:mod:`tests.audit.loop`), as a stranger's are.
"""

import pytest

from reference import TabularModel
from scd_analysis import Outcome, audit
from scd_analysis.conditions import Condition
from scd_analysis.exact import SampledDraws
from tests.audit.loop import Loop, excess, inverse_cdf
from tests.statistics import ledger


class AcceptBySlot(Loop):
    """A generator seeded anew at every pass: the acceptance variate of a slot is always the same."""

    def accept_key(self, t, j, k):
        return ("accept", k)


class AcceptBySum(Loop):
    """A seed that adds pass and slot."""

    def accept_key(self, t, j, k):
        return ("accept", t + k)


class DraftBySum(Loop):
    """The same, for drafts: it shows in tokens alone."""

    def draft_key(self, t, j, k):
        return ("draft", t + k)


class DraftByPass(Loop):
    """One variate draws all drafts of a pass."""

    def draft_key(self, t, j, k):
        return ("draft", t)


class DraftByAcceptance(Loop):
    """The variate that accepts a position at the next pass has drawn the draft behind it."""

    def draft_key(self, t, j, k):
        return self.accept_key(t + 1, j - 1, k)


class ReplaceOnce(Loop):
    """One variate draws every replacement of a sequence."""

    def replace_key(self, t, j, k):
        return ("replace",)


class AcceptByDraft(Loop):
    """The variate that drew a draft accepts it."""

    def accept_key(self, t, j, k):
        return self.draft_key(t - 1, j, k)


class BonusByAcceptance(Loop):
    """The variate that accepted the last draft draws the bonus."""

    def bonus_key(self, t, j):
        return self.accept_key(t, j - 1, self.window - 1)


class Converged(Loop):
    """A draft that came out the same twice is taken without a test."""

    def acceptance(self, t, j, k, slot, target, draws):
        flag, uniform = super().acceptance(t, j, k, slot, target, draws)
        return flag or (slot.age > 1 and slot.token == slot.before), uniform


class ByHalf(Loop):
    """A table of noise for half a batch, used for both halves."""

    shared = ""

    def draws(self, seed, i, num_sequences):
        own, half = super().draws(seed, i, num_sequences), -(-num_sequences // 2)
        shared = SampledDraws(seed + 1, i % half)
        whole = own.uniform
        own.uniform = lambda key: shared.uniform(key) if key[0] == self.shared else whole(key)
        return own


class AcceptByHalf(ByHalf):
    """For acceptance."""

    shared = "accept"


class DraftByHalf(ByHalf):
    """For drafts, ``torch.rand(B // 2, L)``: each sequence by itself is right."""

    shared = "draft"

    def draft_key(self, t, j, k):
        return ("draft", t, k)


class ByBatch(Loop):
    """One variate serves what is at the same place in all sequences of a batch."""

    shared = ""

    def draws(self, seed, i, num_sequences):
        own, batch = super().draws(seed, i, num_sequences), SampledDraws(seed + 1)
        whole = own.uniform
        own.uniform = lambda key: batch.uniform(key) if key[0] == self.shared else whole(key)
        return own


class ReplaceByBatch(ByBatch):
    """``torch.rand(L)`` for the residuals of B windows."""

    shared = "replace"

    def replace_key(self, t, j, k):
        return ("replace", t, k)


class DraftByBatch(ByBatch):
    """The same, for drafts."""

    shared = "draft"

    def draft_key(self, t, j, k):
        return ("draft", t, k)


class BonusByBatch(ByBatch):
    """The same, for the token after a window."""

    shared = "bonus"

    def bonus_key(self, t, j):
        return ("bonus", t)


class Unrecorded(Loop):
    """A decoder that does not record its variates."""

    def _row(self, *what):
        row = super()._row(*what)
        del row["uniform"]
        return row


class AcceptByBatch(Unrecorded, ByBatch):
    """The same, for acceptance, and nobody wrote the variates down."""

    shared = "accept"

    def accept_key(self, t, j, k):
        return ("accept", t, k)


class AcceptBySlotUnrecorded(Unrecorded, AcceptBySlot):
    """The generator that is seeded anew, and nobody wrote its variates down."""


class AcceptMirrored(Unrecorded):
    """An odd slot takes one less the variate of the slot before, unrecorded."""

    def acceptance(self, t, j, k, slot, target, draws):
        uniform = draws.uniform(self.accept_key(t, j - k % 2, k))
        uniform = 1 - uniform if k % 2 else uniform
        return uniform * slot.law[slot.token] < target[slot.token], uniform


class ReplaceByAccepted(Loop):
    """The variate that accepted a position draws the replacement behind it."""

    def replace_key(self, t, j, k):
        return self.accept_key(t, j - 1, k) if k else ("replace", t, j)


class HoldsByToken(Loop):
    """Token 0 behind the first slot is not committed but drawn again."""

    def commits(self, t, base, after, targets, num_reached, draws):
        k = next((k for k in range(1, num_reached) if after[k] == 0), num_reached)
        if k < num_reached:
            after[k] = draws.categorical(("again", t, base + k), targets[k])
        return k


class HoldsByNumber(Loop):
    """Lossless: two tokens a pass, whatever they are."""

    def commits(self, t, base, after, targets, num_reached, draws):
        return min(num_reached, 2)


class ReplaceByNext(Loop):
    """The variate that draws a replacement accepts the next position."""

    def replace_key(self, t, j, k):
        return self.accept_key(t + 1, j + 1, k)


class Recycled(Loop):
    """Lossless: given that it rejected, the variate is uniform above p/q; rescaled, it draws the replacement."""

    def replacement(self, t, j, k, slot, target, uniform, draws):
        threshold = target[slot.token] / slot.law[slot.token]
        return inverse_cdf(excess(target, slot.law), (uniform - threshold) / (1 - threshold))


class Rescaled(Loop):
    """Lossless: one variate a pass; given that it accepted, it is uniform below p/q and, rescaled, tests the next."""

    def acceptance(self, t, j, k, slot, target, draws):
        uniform = float(draws.uniform(self.accept_key(t, j, k))) if k == 0 else self.rest
        threshold = min(target[slot.token] / slot.law[slot.token], 1.0)
        self.rest = uniform / threshold if threshold else 0.0
        return uniform < threshold, uniform


MODEL = TabularModel.random(4, 5, 0.7, seed=1)
# What was needed, on the seed tried, is less than a third of what is allowed.
SLIPS = {
    AcceptBySlot: (Condition.INDEPENDENCE, 40, "a slot has the same acceptance variate"),
    AcceptByHalf: (Condition.INDEPENDENCE, 150, "acceptance variates of two sequences are equal"),
    AcceptBySum: (Condition.INDEPENDENCE, 40, "acceptance variates come again at the next pass"),
    DraftByPass: (Condition.INDEPENDENCE, 1_000, "drafts are drawn with the variate"),
    DraftBySum: (Condition.INDEPENDENCE, 3_000, "its seed adds pass and slot"),
    DraftByAcceptance: (Condition.INDEPENDENCE, 2_200, "the variate that accepts the position before"),
    ReplaceOnce: (Condition.INDEPENDENCE, 500, "the variate that drew the replacement before"),
    AcceptByDraft: (Condition.VERIFICATION, 120, "the variate that draws a draft also accepts it"),
    BonusByAcceptance: (Condition.VERIFICATION, 2_500, "the variate that accepted the last draft"),
    ReplaceByBatch: (Condition.INDEPENDENCE, 400, "in several sequences of a batch"),
    DraftByBatch: (Condition.INDEPENDENCE, 300, ""),
    ReplaceByNext: (Condition.INDEPENDENCE, 150, "also accepts the next position"),
    BonusByBatch: (Condition.INDEPENDENCE, 1_000, "in several sequences of a batch"),
    AcceptByBatch: (Condition.INDEPENDENCE, 300, "in several sequences of a batch"),
    AcceptBySlotUnrecorded: (Condition.INDEPENDENCE, 300, "at all passes of a sequence"),
    AcceptMirrored: (Condition.INDEPENDENCE, 1_000, "one less that of the position before"),
    ReplaceByAccepted: (Condition.INDEPENDENCE, 1_000, "the variate that accepted the position before"),
    HoldsByToken: (Condition.SELECTION, 1_100, "left to a later pass"),
    Converged: (Condition.VERIFICATION, 1_500, "where they are what they were one pass before"),
}
FOUND = ledger("audit of traces: a slip of noise is missed or another condition named", 1e-7 * len(SLIPS))
HALVES = ledger("audit of traces: draft noise of half a batch is missed or called otherwise", 1e-8)
RESCALED = ledger("audit of traces: a right decoder that rescales its variates is refuted at 1e-8", 1e-8)
STAND = ledger("audit of traces: right decoders with unusual noise or commits are refuted at 1e-7", 3e-7)


@pytest.mark.slow
@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip.__name__)
def test_noise_used_twice_is_found_and_named(slip):
    condition, most, cause = SLIPS[slip]
    verdict = audit(slip(MODEL, 3), MODEL, max_sequences=most, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is condition
    assert cause in verdict.diagnosis.cause


@pytest.mark.slow
@pytest.mark.parametrize("right", [Loop, Recycled, HoldsByNumber], ids=lambda right: right.__name__)
def test_right_decoders_stand(right):
    verdict = audit(right(MODEL, 3), MODEL, alpha=1e-7, max_sequences=3_000, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED, verdict


@pytest.mark.slow
def test_drafts_of_rows_half_a_batch_apart_share_noise():
    verdict = audit(DraftByHalf(MODEL, 3), MODEL, max_sequences=4_000, progress=False)
    assert verdict.condition is Condition.INDEPENDENCE
    assert "two rows half a batch apart" in verdict.diagnosis.cause


@pytest.mark.slow
def test_a_variate_that_is_used_again_after_it_was_rescaled_is_no_fault():
    """Where acceptance is certain it comes again as it is, and is recorded so."""
    verdict = audit(Rescaled(MODEL, 3), MODEL, alpha=1e-8, max_sequences=1_000, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED, verdict


@pytest.mark.slow
def test_sequences_that_come_twice_share_their_seed():
    """Nothing is wrong inside a sequence, so that only whole sequences tell."""
    model = TabularModel.random(4, 6, 0.7, seed=3)
    loop = Loop(model, 3)

    def twice(_, num_sequences, seed):
        once = loop(model, (num_sequences + 1) // 2, seed)
        return once.isel(sequence=[i // 2 for i in range(num_sequences)])

    verdict = audit(twice, model, max_sequences=1_000, progress=False)
    assert verdict.condition is Condition.INDEPENDENCE
