"""Decoders and recordings that are unusual and right are not refuted."""

import math
from itertools import count, product

import numpy as np
import pytest
import torch
import xarray as xr

from reference import TabularModel, decode
from scd_analysis import InputError, Outcome, audit, exact_law
from scd_analysis.audit.reconstruct import declared
from scd_analysis.subjects import trace
from tests.audit.loop import Loop, Slot, excess
from tests.statistics import ledger

MODEL = TabularModel.random(vocab_size=3, num_tokens=6, concentration=0.7, seed=4)


class NoisyCopies:
    """A token is the last one, mostly."""

    vocab_size, num_tokens = 4, 8

    def next_token_probs(self, tokens):
        kernel = torch.full((4, 4), 0.05, dtype=torch.float64) + 0.8 * torch.eye(4, dtype=torch.float64)
        first = torch.full((len(tokens), 1, 4), 0.25, dtype=torch.float64)
        return torch.cat([first, kernel[tokens]], dim=1)


class VerifiedOnly(Loop):
    """What lies behind a rejection is not recorded, as if it had not been drafted yet."""

    def _row(self, base, slots, targets, after, accepted, uniforms, bonus, reached):
        row = super()._row(base, slots, targets, after, accepted, uniforms, bonus, reached)
        row["draft_token"][len(accepted) :] = -1
        return row


class TwoTested(Loop):
    """At most two slots are tested and committed a pass; the others are not recorded."""

    def commits(self, t, base, after, targets, num_reached, draws):
        return min(num_reached, 2)

    def _row(self, base, slots, targets, after, accepted, uniforms, bonus, reached):
        row = super()._row(base, slots, targets, after, accepted, uniforms, bonus, reached)
        row["draft_token"][2:] = -1
        return row


class OneVariateForLife(Loop):
    """A position keeps its acceptance variate, which decides once and makes no draft."""

    def __init__(self, model, window):
        super().__init__(model, window)
        self.waiting = {}

    def accept_key(self, t, j, k):
        return ("accept", j)

    def redraft(self, t, j, k, after, target, draws):
        self.waiting[k] = float(draws.uniform(self.accept_key(t, j, k)))
        return super().redraft(t, j, k, after, target, draws)

    def _row(self, base, slots, targets, after, accepted, uniforms, bonus, reached):
        uniforms = [u if k < len(accepted) else self.waiting[k] for k, u in enumerate(uniforms)]
        return super()._row(base, slots, targets, after, accepted, uniforms, bonus, reached)


class RoundedRecord(Loop):
    """Variates are recorded in bfloat16, behind the decision."""

    def _row(self, base, slots, targets, after, accepted, uniforms, bonus, reached):
        rounded = torch.tensor(uniforms, dtype=torch.bfloat16).double().tolist()
        return super()._row(base, slots, targets, after, accepted, rounded, bonus, reached)


class WaitsForTheThirdPass(Loop):
    """Commits at every third pass only; races with noise that a position keeps."""

    def redraft(self, t, j, k, after, target, draws):
        waits = [-math.log(1 - draws.uniform(("race", j, x))) / p if p else math.inf for x, p in enumerate(target)]
        return int(np.argmin(waits))

    def commits(self, t, base, after, targets, num_reached, draws):
        return num_reached if t % 3 == 2 else 0


class AskedAgain(Loop):
    """One position is committed a pass; an accepted draft that waits is tested again, with its law and its variate."""

    def run(self, draws):
        self.accepted_at, self.noise, self.again = {}, draws, count()
        return super().run(draws)

    def accept_key(self, t, j, k):
        return ("accept", self.accepted_at.get(j, t), j)

    def acceptance(self, t, j, k, slot, target, draws):
        accepted, uniform = super().acceptance(t, j, k, slot, target, draws)
        if accepted:
            self.accepted_at.setdefault(j, t)
        return accepted, uniform

    def commits(self, t, base, after, targets, num_reached, draws):
        return 1

    def next_slot(self, token, target, slot, waits):
        return slot._replace(before=slot.token, age=slot.age + 1) if waits else Slot(token, target, slot.token)


class AskedAnew(AskedAgain):
    """Tests again with a new variate what waits since it was accepted."""

    def accept_key(self, t, j, k):
        return ("accept", t, j)


class DrawnAgain(AskedAgain):
    """Draws unlikely drafts again that were accepted and wait."""

    def next_slot(self, token, target, slot, waits):
        if not waits or target[token] >= 0.3:
            return super().next_slot(token, target, slot, waits)
        return Slot(self.noise.categorical(("again", next(self.again)), target), target, slot.token)


class ReplacedFromTarget(AskedAgain):
    """Replaces from the target what was rejected behind the first slot."""

    def replacement(self, t, j, k, slot, target, uniform, draws):
        law = target if k else excess(target, slot.law)
        return draws.categorical(self.replace_key(t, j, k), law)


RIGHT = {
    VerifiedOnly: (MODEL, 400),
    TwoTested: (MODEL, 300),
    OneVariateForLife: (MODEL, 300),
    RoundedRecord: (MODEL, 200),
    WaitsForTheThirdPass: (NoisyCopies(), 600),
    AskedAgain: (MODEL, 300),
}
STAND = ledger("audit of traces: unusual and right decoders are refuted at 1e-8", 1e-8 * len(RIGHT))


@pytest.mark.slow
@pytest.mark.parametrize("decoder", RIGHT, ids=lambda decoder: decoder.__name__)
def test_an_unusual_decoder_that_is_right_is_not_refuted(decoder):
    """All but the two tested slots were refuted once, within these sequences at 1e-6."""
    model, most = RIGHT[decoder]
    verdict = audit(decoder(model, 4), model, alpha=1e-8, max_sequences=most, progress=False)
    assert verdict.outcome is not Outcome.REFUTED, verdict


SHOWN = ledger("audit of traces: slips of decoders that decide before they commit are missed at 1e-8", 1e-8)


@pytest.mark.parametrize("decoder", [AskedAnew, DrawnAgain, ReplacedFromTarget], ids=lambda decoder: decoder.__name__)
def test_a_slip_of_a_decoder_that_decides_before_it_commits_is_refuted(decoder):
    """Some 30 to 60 sequences show each."""
    verdict = audit(decoder(MODEL, 4), MODEL, alpha=1e-8, max_sequences=600, progress=False)
    assert verdict.outcome is Outcome.REFUTED


@pytest.mark.slow
@pytest.mark.parametrize(("decoder", "exact"), [(AskedAgain, True), (AskedAnew, False)])
def test_what_decides_before_it_commits_is_exact_by_enumeration(decoder, exact):
    model = TabularModel.random(vocab_size=2, num_tokens=4, concentration=0.7, seed=4)
    subject = decoder(model, 3)
    law = exact_law(lambda draws: tuple(map(int, subject.run(draws)[0])), intercept=False)
    target = {x: math.prod(subject.law(x[:j])[x[j]] for j in range(4)) for x in product(range(2), repeat=4)}
    distance = sum(abs(p - law.probabilities.get(x, 0)) for x, p in target.items()) / 2
    assert distance < 1e-12 if exact else distance > 0.1


def killed(batch_size, passes=3):
    """A decode of 200 sequences, and the same one killed in its last batch."""
    whole = decode(MODEL, "sjd", 3, 200, batch_size=batch_size, progress=False).trace
    last, late = np.arange(200) >= 200 - batch_size, np.arange(whole.sizes["iteration"]) >= passes
    there = xr.DataArray(~(last[:, None] & late), dims=("sequence", "iteration"))
    cut = whole.assign({name: values.where(there) for name, values in whole.items() if "iteration" in values.dims})
    reached = (cut.base + cut.num_committed).max("iteration") >= MODEL.num_tokens
    return whole, cut.assign(tokens=whole.tokens.where(reached), nfe=whole.nfe.where(reached))


def test_the_quickest_sequences_of_a_batch_are_not_judged():
    """A killed run finished those whose drafts were accepted."""
    whole, cut = killed(200)
    assert 0 < int(cut.nfe.notnull().sum()) < 200
    assert trace(whole).num_available == 200
    with pytest.raises(InputError, match="were the quickest"):
        trace(cut)


def test_batches_before_the_one_that_was_killed_are_judged():
    assert trace(killed(50)[1]).num_available == 150


TARGET, ONE, OTHER = np.array([0.2, 0.4, 0.4]), np.array([0.2, 0.6, 0.2]), np.array([0.2, 0.2, 0.6])


@pytest.mark.parametrize(("law", "found"), [(ONE, True), (OTHER, False)])
def test_a_law_is_not_told_by_the_token_where_two_have_the_same_numbers(law, found):
    """Both laws have total variation .2 and collision .36 with the target; the earlier pass gave the first of them."""
    draft = np.array([[0, 0], [0, 2]])
    slots = ("sequence", "iteration", "slot")
    numbers = {"total_variation": 0.2, "collision_independent": float(TARGET @ law)}
    recorded = xr.Dataset(
        {
            "base": (slots[:2], np.zeros((2, 2))),
            "draft_token": (slots, draft[..., None]),
            "draft_prob_of_token": (slots, np.array([[np.nan, law[0]], [np.nan, law[2]]])[..., None]),
            **{name: (slots, np.full((2, 2, 1), value)) for name, value in numbers.items()},
        }
    )
    target = np.stack([np.stack([ONE, TARGET])] * 2)[:, :, None]
    second = declared(recorded, target, 1e-6)[:, 1, 0]
    np.testing.assert_allclose(second, np.stack([law] * 2) if found else np.full((2, 3), np.nan))
