"""NOT_REFUTED takes what the grade promises to have been tested; else the verdict says what was missing."""

import json
from contextlib import ExitStack

import numpy as np
import pytest
import torch

from reference import TabularModel, decode
from reference.broken import get_fault
from scd_analysis import Outcome, TraceWriter, audit, open_trace
from scd_analysis.audit.conditions.verification import REPLACEMENT
from scd_analysis.audit.opening import Asked, open_judge
from scd_analysis.audit.promises import Events, Need, untested
from scd_analysis.audit.rules.mrs import RULE as MRS
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError, LawError, TraceError, UnknownNameError
from scd_analysis.evidence.resolution import every_cell, one_direction, one_observation
from scd_analysis.report.load import read_verdict
from scd_analysis.subjects import ancestral
from scd_analysis.testing import assert_lossless
from scd_analysis.trace.schema import SCALARS_OF_LAWS
from tests.audit.test_traces import one_token

MODEL = TabularModel.random(3, 5, 0.7, seed=0)
LAWS = ["draft_probs", "target_probs"]


@pytest.fixture(scope="module")
def whole():
    return decode(MODEL, "scd-mc", 3, 300, seed=2, record="laws", progress=False).trace.load()


def judged(trace, model=None, **options):
    return audit(trace, model, alpha=1e-9, progress=False, **options)


def without(trace, *names):
    return trace.assign({name: trace[name] * np.nan for name in names})


def test_every_condition_has_needs_and_half_of_the_events_must_be_judged():
    assert {need.condition for need in MRS.needs} == set(Condition)
    judged = dict.fromkeys((name for need in MRS.needs for name in need.judges), 0)
    assert untested(MRS.needs, Events(), judged, ()) == {}  # nothing happened
    some = Events({"drafted": 10, "drawn": 10, "rejected": 10, "bonus": 0})
    assert set(untested(MRS.needs, some, judged, ())) == set(Condition)
    assert set(untested(MRS.needs, some, judged, (Condition.TARGET,))) == set(Condition) - {Condition.TARGET}
    assert untested(MRS.needs, some, dict.fromkeys(judged, 5), ()) == {}
    few = untested(MRS.needs, some, dict.fromkeys(judged, 10) | {REPLACEMENT: 4}, ())
    assert list(few) == [Condition.VERIFICATION]
    assert "(of 60%)" in few[Condition.VERIFICATION]
    with pytest.raises(UnknownNameError, match="event='drown' is not known"):
        Need(Condition.VERIFICATION, "drown", (None,), "")


@pytest.mark.slow
def test_a_planted_fault_whose_record_shows_too_little_does_not_pass(whole):
    """Bonus tokens, whose law no trace holds: given a model they are judged, without it there is no verdict for it."""
    verdict = judged(whole)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert [what.split(":")[0] for what in verdict.missing] == ["verification"]
    assert "Missing: verification: bonus tokens" in str(verdict)
    assert json.loads(verdict.to_json())["missing"] == list(verdict.missing)
    assert read_verdict(json.loads(verdict.to_json())).missing == verdict.missing
    with pytest.raises(AssertionError, match=r"too little could be tested\. Missing: verification: bonus tokens"):
        assert_lossless(whole, alpha=1e-9)
    given = judged(whole, MODEL)  # the twin
    assert (given.outcome, given.missing) == (Outcome.NOT_REFUTED, ())


@pytest.mark.slow
def test_without_a_model_the_verdict_is_on_the_recorded_laws():
    """No bonus tokens: all but the target condition is tested."""
    verdict = judged(one_token(1500, np.random.default_rng(0)))
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert "the laws that the trace records" in verdict.sentence
    assert verdict.missing == ()


@pytest.mark.slow
def test_scalars_that_were_not_recorded_follow_from_laws(whole):
    """A fault was passed with three conditions not tested where the drafts' probabilities were not recorded."""
    fault = get_fault("lenient-acceptance")
    trace = fault.traced(3)(MODEL, 600, 0).load()
    verdict = judged(without(trace, *SCALARS_OF_LAWS))
    assert (verdict.outcome, verdict.condition) == (Outcome.REFUTED, Condition.VERIFICATION)
    right = judged(without(whole, *SCALARS_OF_LAWS), MODEL)  # the twin
    assert right.outcome is Outcome.NOT_REFUTED
    assert {report.status for report in right.conditions} == {"not refuted"}


def test_too_few_sequences_are_said_to_be_missing():
    verdict = judged(ancestral, MODEL, max_sequences=50)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "finished sequences" in verdict.missing[0]
    assert "0.2 was asked for" in verdict.missing[0]
    one = judged(ancestral, MODEL, max_sequences=1)
    assert one.outcome is Outcome.INCONCLUSIVE


class Greedy:
    """The point mass on the model's most probable token."""

    vocab_size, num_tokens = 3, 5

    def next_token_probs(self, tokens):
        laws = MODEL.next_token_probs(tokens)
        return torch.nn.functional.one_hot(laws.argmax(-1), 3).to(laws.dtype)


RIGHT = {
    "ancestral": ("ar", "laws", (), MODEL),
    "greedy": ("jacobi", "scalars", (), Greedy()),
    "greedy flags": ("jacobi", "scalars", (*SCALARS_OF_LAWS, "uniform", "age"), Greedy()),
    "no variates": ("sjd", "laws", ("uniform",), MODEL),
    "scalars": ("scd-gs", "scalars", (), MODEL),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_what_the_documentation_recommends_to_record_is_enough(name):
    method, record, hidden, model = RIGHT[name]
    trace = decode(model, method, 3, 300, seed=2, record=record, progress=False).trace.load()
    verdict = judged(without(trace, *hidden), model)
    assert (verdict.outcome, verdict.missing) == (Outcome.NOT_REFUTED, ())


def copied(num_sequences, rng, declared=1.0):
    """Prompt lookup: token 0 is the draft, as a point mass, or as if it had been drawn."""
    u = rng.random((num_sequences, 1))
    target = np.broadcast_to([[[0.75, 0.25]]], (num_sequences, 1, 2))
    draft = np.zeros((num_sequences, 1), dtype=int)
    law = np.broadcast_to([[[declared, 1 - declared]]], (num_sequences, 1, 2))
    accepted = u * declared < 0.75
    writer = TraceWriter(vocab_size=2, num_tokens=1, window=1, decoder="copies", laws=True)
    writer.append(base=np.zeros(num_sequences), draft_token=draft, next_token=np.where(accepted, 0, 1),
                  accepted=accepted, draft_probs=law, target_probs=target)  # fmt: skip
    writer.close()
    return open_trace(writer.store)


@pytest.mark.slow
def test_drafts_that_are_point_masses_need_no_law_to_be_compared():
    verdict = judged(copied(1500, np.random.default_rng(0)))
    assert (verdict.outcome, verdict.missing) == (Outcome.NOT_REFUTED, ())
    assert "point mass" in verdict.conditions[0].message
    assert judged(copied(1500, np.random.default_rng(0), 0.9)).condition is Condition.DECLARED_LAW  # the twin


def test_resolution_of_nothing_is_one():
    assert one_direction(10, -1, 0, 0, np.array([10.0])) == 1
    assert one_direction(10, -1, 5, 0, np.array([10.0])) == 1
    assert one_observation(10, -1, 0, np.array([10.0])) == 1
    assert every_cell(10, -1, 0, 9, np.array([10.0])) == 1


class Mixed:
    """The first token decides whether anything is left to chance."""

    vocab_size, num_tokens = 2, 3

    def next_token_probs(self, tokens):
        laws = torch.zeros(len(tokens), tokens.shape[1] + 1, 2, dtype=torch.float64)
        laws[:, 0] = torch.tensor([0.99, 0.01])
        laws[:, 1:, 0] = 1.0
        if tokens.shape[1]:
            laws[tokens[:, 0] == 1, 1:] = 0.5
        return laws


def test_tokens_that_are_certain_do_not_count_for_the_resolution():
    with ExitStack() as held:
        asked = Asked(1e-6, 64, 0, None, None, 0.0, None, None, None, None)
        judge = open_judge(ancestral, Mixed(), asked, held)
        judge.step()
    assert judge.evidence.target.num_tokens * judge.seen == 192
    assert 64 <= judge.evidence._open_tokens < 80  # one, mostly, of three in a sequence


class Scribbles:
    """Writes into its input once it has looked."""

    vocab_size, num_tokens = 3, 5

    def next_token_probs(self, tokens):
        laws = MODEL.next_token_probs(tokens)
        tokens[:] = 0
        return laws


@pytest.mark.parametrize("sequences", [1, 300])
def test_a_model_that_writes_into_its_input_changes_no_token(sequences):
    right = judged(ancestral, MODEL, max_sequences=sequences)
    written = judged(ancestral, Scribbles(), max_sequences=sequences)
    assert written.log_e_value == right.log_e_value


@pytest.mark.parametrize("kind", ["bfloat16", "sparse", "meta", "half"])
def test_tensors_of_other_kinds_are_converted_or_named(kind):
    def subject(model, num_sequences, seed):
        tokens = torch.as_tensor(ancestral(model, num_sequences, seed))
        return {"bfloat16": tokens.bfloat16(), "sparse": tokens.to_sparse(), "meta": tokens.to("meta"),
                "half": tokens + 0.5}[kind]  # fmt: skip

    if kind == "sparse":
        assert judged(subject, MODEL, max_sequences=64).log_e_value == (
            judged(ancestral, MODEL, max_sequences=64).log_e_value
        )
        return
    with pytest.raises(InputError, match={"meta": "meta device"}.get(kind, "tokens are integers")):
        judged(subject, MODEL, max_sequences=64)


def spoiled(trace, name, change):
    values = trace[name].values.copy()
    used = ~np.isnan(trace["draft_token"].values)
    change(values, used)
    return trace.assign({name: (trace[name].dims, values)})


def nothing(values, used):
    values[used] = np.nan


def half(values, used):
    at = np.argwhere(used)[::2]
    values[tuple(at.T)] = np.nan


def an_entry(values, used):
    values[(*np.argwhere(used)[5], 1)] = np.nan


def double(values, used):
    values[used] *= 2


def negative(values, used):
    values[used] *= -2


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("change", [nothing, half, an_entry, double, negative], ids=lambda change: change.__name__)
def test_what_is_no_law_has_no_verdict(whole, name, change):
    trace = spoiled(whole.isel(sequence=slice(0, 40)), name, change)
    named = rf"{name.removesuffix('s')}.*\["  # or the number that goes with it
    with pytest.raises((LawError, TraceError), match=named):
        judged(trace)
    live = decode(MODEL, "scd-mc", 3, 64, seed=3, record="laws", progress=False).trace.load()
    with pytest.raises((LawError, TraceError), match=named):
        judged(lambda model, n, seed: spoiled(live, name, change), MODEL, max_sequences=64)


@pytest.mark.parametrize("name", ["draft_prob_of_token", "target_prob_of_token", "total_variation"])
def test_numbers_are_recorded_of_all_drafts_or_of_none(whole, name):
    with pytest.raises(TraceError, match=rf"{name}\[.*missing, and recorded of other drafts"):
        judged(spoiled(whole, name, half))
    values = whole[name].values.copy()
    values[280:] = np.nan  # of whole chunks of sequences that are checked together
    with pytest.raises(TraceError, match="missing, and recorded of"):
        judged(whole.assign({name: (whole[name].dims, values)}))
