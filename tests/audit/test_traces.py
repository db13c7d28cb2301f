"""Traces as subjects: recorded, live, without a model, without laws, interrupted; and what is said of bad ones."""

import json

import numpy as np
import pytest

from reference import TabularModel, decode
from reference.broken import get_fault
from scd_analysis import Outcome, TraceWriter, audit, open_trace
from scd_analysis.audit.commits import read_commits
from scd_analysis.audit.reconstruct import Reconstruction
from scd_analysis.audit.target import Target
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.subjects import recorded as recorded_tokens
from scd_analysis.subjects import trace
from scd_analysis.trace.schema import SCALARS_OF_LAWS
from tests.statistics import ledger

MODEL = TabularModel.random(3, 5, 0.7, seed=0)


@pytest.fixture(scope="module")
def recorded():
    return decode(MODEL, "scd-mc", 3, 400, seed=2, record="laws")


def test_commits_are_the_passes_that_committed(recorded):
    commits = read_commits(recorded.trace)
    assert (commits.final == recorded.tokens.numpy()).all()
    assert (commits.drafted ^ commits.bonus).all()
    kept = commits.drafted & commits.accepted
    assert (commits.draft[kept] == commits.final[kept]).all()
    assert (commits.passes.committed == commits.passes.reached).all()
    old = commits.age > 0  # the law declared for a redraft is the target law of the pass before
    np.testing.assert_array_equal(commits.draft_probs[old], commits.earlier.last_target_probs[old])
    assert len(commits.part(3, 10)) == 7


def test_laws_and_ages_that_were_not_recorded_are_found_again(recorded):
    whole = recorded.trace.load()
    target = Target(MODEL)
    target.check(np.random.default_rng(0))
    bare = whole.drop_vars(["draft_probs", "target_probs"])
    found = Reconstruction(target, 1e-4).fill(bare)
    for name in ("draft_probs", "target_probs"):
        np.testing.assert_allclose(found[name].values, whole[name].values, atol=1e-6)
    without_age = read_commits(whole.assign(age=whole.age * np.nan))
    assert (without_age.age == read_commits(whole).age).all()
    wrong = bare.assign(draft_prob_of_token=bare.draft_prob_of_token * 0.9)  # the twin: a law that nobody gave
    unknown = np.isnan(Reconstruction(target, 1e-4).fill(wrong)["draft_probs"].values).all(-1)
    used = whole.draft_token.notnull().values
    assert unknown[used].mean() > 0.9


@pytest.mark.slow
def test_a_path_a_dataset_and_a_live_subject_agree(recorded, tmp_path):
    path = tmp_path / "run.zarr"
    decode(MODEL, "scd-mc", 3, 400, seed=2, record="laws", out_path=path)
    by_path, by_dataset = (audit(s, MODEL, progress=False) for s in (str(path), recorded.trace))
    assert by_path.log_e_value == by_dataset.log_e_value
    assert by_path.num_sequences == 400
    assert by_path.record["grade"] == "trace"
    live = audit(lambda m, n, s: decode(m, "scd-mc", 3, n, s, "laws"), MODEL, max_sequences=100, progress=False)
    assert live.outcome is Outcome.INCONCLUSIVE
    assert live.record["grade"] == "trace"


STANDS = ledger("traces of tokens and flags, and their tokens: right ones are not refuted at 1e-8", 4e-8)


@pytest.mark.slow
@pytest.mark.parametrize(("num_sequences", "outcome"), [(1000, Outcome.INCONCLUSIVE), (4000, Outcome.NOT_REFUTED)])
def test_what_the_tokens_of_a_trace_resolve_counts_where_its_conditions_say_little(num_sequences, outcome):
    """Without laws, variates and ages little but bonus tokens can be judged."""
    whole = decode(MODEL, "scd-mc", 3, num_sequences, seed=2, record="laws").trace.load()
    bare = whole.drop_vars(["draft_probs", "target_probs"])
    bare = bare.assign({name: bare[name] * np.nan for name in (*SCALARS_OF_LAWS, "uniform", "age")})
    verdict = audit(bare, MODEL, STANDS / 4, progress=False)
    tokens = audit(recorded_tokens(whole["tokens"].values), MODEL, STANDS / 4, progress=False)
    assert verdict.outcome is tokens.outcome is outcome
    assert tokens.resolution < verdict.resolution < 1.2 * tokens.resolution  # their bets have a quarter of the weight
    assert by_condition(verdict)[Condition.VERIFICATION].resolution > 2 * verdict.resolution
    assert "laws of whole sequences" in verdict.record["resolution_meaning"]


@pytest.mark.slow
def test_a_trace_of_tokens_that_are_certain_is_seen_in_one_batch():
    rng = np.random.default_rng(0)
    certain = TabularModel([np.eye(3)[rng.integers(3, size=3**k)] for k in range(5)])
    stands = audit(lambda m, n, s: decode(m, "sjd", 3, n, s, "laws"), certain, progress=False)
    assert (stands.outcome, stands.num_sequences) == (Outcome.NOT_REFUTED, 64)
    assert stands.resolution == pytest.approx(1 - 0.01 ** (1 / 64))
    falls = audit(lambda m, n, s: decode(MODEL, "sjd", 3, n, s, "laws"), certain, progress=False)  # the twin
    assert (falls.outcome, falls.num_sequences) == (Outcome.REFUTED, 1)
    more = audit(lambda m, n, s: decode(m, "sjd", 3, n, s, "laws"), certain, max_sequences=100, progress=False)
    assert more.num_sequences == 100


def by_condition(verdict):
    return {report.condition: report for report in verdict.conditions}


def one_token(num_sequences, rng):
    """MRS of one draft from (1/2, 1/2) against (3/4, 1/4): no bonus token."""
    draft, u = rng.integers(2, size=(num_sequences, 1)), rng.random((num_sequences, 1))
    accepted = u / 2 < np.where(draft == 0, 0.75, 0.25)
    token, laws = np.where(accepted, draft, 0), np.broadcast_to([[[0.5, 0.5]], [[0.75, 0.25]]], (2, 1, 2))
    draft_probs, target_probs = (np.broadcast_to(law, (num_sequences, 1, 2)) for law in laws)
    writer = TraceWriter(vocab_size=2, num_tokens=1, window=1, decoder="one", laws=True)
    writer.append(base=np.zeros(num_sequences), draft_token=draft, next_token=token, accepted=accepted,
                  draft_probs=draft_probs, target_probs=target_probs)  # fmt: skip
    writer.close()
    return open_trace(writer.store)


@pytest.mark.slow
def test_without_a_model_the_target_and_bonus_tokens_are_not_tested(recorded):
    """A trace holds no law of a bonus token."""
    verdict = audit(recorded.trace, progress=False)
    reports = by_condition(verdict)
    assert reports[Condition.TARGET].status == "not tested"
    assert reports[Condition.VERIFICATION].status == "not tested"
    assert "bonus tokens" in reports[Condition.VERIFICATION].message
    assert verdict.certificate is None
    assert by_condition(audit(recorded.trace, MODEL, progress=False))[Condition.VERIFICATION].status == "not refuted"
    drafts_only = by_condition(audit(one_token(500, np.random.default_rng(0)), progress=False))
    assert drafts_only[Condition.VERIFICATION].status == "not refuted"
    broken = get_fault("lenient-acceptance").traced(3)(MODEL, 600, 0)
    assert audit(broken, progress=False).condition is Condition.VERIFICATION  # the twin


@pytest.mark.slow
def test_a_condition_without_observations_is_not_tested(recorded):
    """Neither laws, nor their scalars, nor variates: nothing shows what the drafts were declared as."""
    hidden = ("uniform", "draft_prob_of_token", "target_prob_of_token", "total_variation", "collision_independent")
    bare = recorded.trace.drop_vars(["draft_probs", "target_probs"])
    bare = bare.assign({name: bare[name] * np.nan for name in hidden})
    reports = {report.condition: report for report in audit(bare, MODEL, progress=False).conditions}
    for report in reports.values():
        assert (report.status == "not tested") >= (report.observations == 0)
    assert reports[Condition.DECLARED_LAW].status == reports[Condition.TARGET].status == "not tested"
    told = audit(recorded.trace, MODEL, progress=False).conditions
    assert {report.status for report in told} == {"not refuted"}  # the twin
    assert told[Condition.TARGET.order].observations == int(recorded.trace.committed.sum())


@pytest.mark.slow
def test_commits_stand_in_for_tokens_that_were_not_recorded(recorded):
    """As in a loop of append alone."""
    bare = recorded.trace.assign(tokens=recorded.trace.tokens * np.nan)
    assert audit(bare, MODEL, progress=False).log_e_value == audit(recorded.trace, MODEL, progress=False).log_e_value
    scalars, finished = (whole.drop_vars(["draft_probs", "target_probs"]) for whole in (bare, recorded.trace))
    verdict = audit(scalars, MODEL, progress=False)  # laws are asked for again, after the commits of the sequence
    assert verdict.log_e_value == audit(finished, MODEL, progress=False).log_e_value
    assert verdict.outcome is Outcome.NOT_REFUTED


@pytest.mark.slow
def test_scalars_are_enough_for_some(recorded):
    trace = decode(MODEL, "scd-gs", 3, 300, seed=2, record="scalars").trace
    verdict = audit(trace, MODEL, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert audit(
        get_fault("argmax-draft").traced(3, "scalars"), MODEL, max_sequences=2_000, progress=False
    ).condition is (Condition.DECLARED_LAW)
    with pytest.raises(InputError, match="the trace holds no laws"):
        audit(trace, progress=False)


@pytest.mark.slow
def test_ancestral_traces_are_judged_by_their_tokens():
    verdict = audit(decode(MODEL, "ar", 3, 200, record="laws").trace, MODEL, progress=False)
    assert {r.status for r in verdict.conditions} == {"not tested"}
    assert verdict.outcome is not Outcome.REFUTED


class Interrupted:
    """A decoder that is stopped at its fourth batch."""

    def __init__(self, record):
        self.record, self.calls, self.stop = record, 0, True

    def __call__(self, model, num_sequences, seed):
        if self.stop and self.calls == 3:
            raise KeyboardInterrupt
        self.calls += 1
        return get_fault("stale-law").decode(model, 3, num_sequences, seed, self.record)


@pytest.mark.slow
@pytest.mark.parametrize("record", [None, "laws"])
def test_an_interrupted_audit_goes_on_to_the_same_verdict(tmp_path, record):
    subject, options = Interrupted(record), {"max_sequences": 500, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        audit(subject, MODEL, checkpoint=tmp_path / "audit", **options)
    subject.stop, subject.calls = False, 0
    resumed = audit(subject, MODEL, checkpoint=tmp_path / "audit", **options)
    drawn_after = subject.calls
    whole = audit(subject, MODEL, **options)
    assert resumed.to_json() == whole.to_json()
    assert subject.calls - drawn_after == drawn_after + 3


def test_a_checkpoint_of_another_audit_is_refused(tmp_path):
    subject = lambda m, n, s: decode(m, "sjd", 3, n, s, None)  # noqa: E731
    audit(subject, MODEL, max_sequences=100, checkpoint=tmp_path / "a", progress=False)
    with pytest.raises(InputError, match="seed = 0, this audit has 1"):
        audit(subject, MODEL, max_sequences=100, seed=1, checkpoint=tmp_path / "a", progress=False)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "something").touch()
    with pytest.raises(InputError, match="not empty and holds no audit"):
        audit(subject, MODEL, max_sequences=100, checkpoint=tmp_path / "b", progress=False)


@pytest.mark.parametrize("record", [None, "laws"])
def test_a_damaged_checkpoint_is_no_evidence(tmp_path, record):
    """A chunk that is gone reads as zeros, which would refute a right decoder."""
    subject, options = lambda m, n, s: decode(m, "sjd", 3, n, s, record), {"max_sequences": 100, "progress": False}
    audit(subject, MODEL, checkpoint=tmp_path / "a", **options)
    (tmp_path / "a" / "batch-00000.zarr" / "tokens" / "c" / "0" / "0").unlink()
    with pytest.raises(InputError, match=r"batch-00000.zarr: is not what was stored; without this folder"):
        audit(subject, MODEL, checkpoint=tmp_path / "a", **options)
    (tmp_path / "a" / "audit.json").write_text("{")
    with pytest.raises(InputError, match=r"audit\.json: is not JSON"):
        audit(subject, MODEL, checkpoint=tmp_path / "a", **options)


def test_bad_traces_are_named(recorded):
    with pytest.raises(InputError, match="is a trace of"):
        audit(lambda m, n, s: recorded.trace, MODEL, max_sequences=100, progress=False)
    with pytest.raises(InputError, match="model = None: only a kernel or a recorded trace"):
        audit(lambda m, n, s: recorded.trace, progress=False)
    tokens_only = _AsTokens(trace(recorded.trace))
    with pytest.raises(InputError, match="model = None: an audit of tokens"):
        audit(tokens_only, progress=False)
    with pytest.raises(InputError, match="were the quickest"):
        trace(recorded.trace.assign(tokens=recorded.trace.tokens * np.nan).isel(iteration=slice(0, 1)))
    wrong = recorded.trace.assign(accepted=recorded.trace.accepted + 1)
    with pytest.raises(ValueError, match="must be 0 or 1"):
        audit(wrong, MODEL, progress=False)


def test_a_live_trace_that_leaves_out_what_was_committed_is_not_judged(recorded):
    """Without its bonus tokens a trace would only show less, and be found lossless for it."""

    def subject(model, num_sequences, seed):
        found = decode(model, "scd-mc", 3, num_sequences, seed, "laws", progress=False).trace
        return found.assign(bonus_token=found.bonus_token * np.nan)

    with pytest.raises(InputError, match=r"num_committed\[.*miscounts"):
        audit(subject, MODEL, max_sequences=100, progress=False)


class _AsTokens:
    def __init__(self, subject):
        self._subject, self.vocab_size, self.num_tokens = subject, subject.vocab_size, subject.num_tokens

    def __call__(self, model, num_sequences, seed):
        return self._subject(model, num_sequences, seed)["tokens"].values.astype(int)


def test_the_verdict_is_json_and_says_where():
    verdict = audit(get_fault("row-shifted").traced(3), MODEL, max_sequences=100, progress=False)
    stored = json.loads(verdict.to_json())
    assert stored["diagnosis"]["condition"] == "target"
    assert stored["log_e_value"] == "inf"
    assert 0 < stored["diagnosis"]["size"]["low"] < 1
    assert stored["path"]
    assert len(stored["conditions"]) == 5
    assert "target: broken" in str(verdict)


@pytest.mark.slow
def test_small_spaces_get_a_certificate():
    verdict = audit(lambda m, n, s: decode(m, "sjd", 3, n, s, None), MODEL, max_sequences=5_000, progress=False)
    assert verdict.certificate.low == 0
    assert verdict.certificate.high < 0.25
    assert "whole sequences" in str(verdict.certificate)


def test_an_empty_trace_is_an_error():
    writer = TraceWriter(vocab_size=3, num_tokens=5, window=3, decoder="mine")
    writer.close()
    with pytest.raises(InputError, match="trace: holds no sequence"):
        audit(open_trace(writer.store), MODEL, progress=False)
