"""``assert_lossless`` passes lossless subjects of every kind and fails broken ones, too few sequences, and no more."""

import math
import re
from functools import partial

import pytest
import torch

from reference import TabularModel, decode
from reference.broken import get_fault
from reference.subjects import subject
from scd_analysis import Outcome, audit, subjects
from scd_analysis.errors import InputError
from scd_analysis.exact import assert_exact
from scd_analysis.testing import TableModel, assert_lossless, rates
from scd_analysis.testing import assert_exact as exported_assert_exact
from scd_analysis.testing.lossless import name_of
from tests.statistics import ledger

STANDS = ledger("testing: assert_lossless on lossless subjects", 1.5e-6, power=0.99, resolution=0.2)
MISSED = ledger("testing: assert_lossless misses a planted fault", 2e-6)
"""On the seeds tried, each was refuted within a quarter of the sequences allowed here."""

EACH = 1e-7  # twelve audits of lossless subjects below

MODEL = TabularModel.random(3, 3, 0.7, seed=3)
FAIR = TableModel(2, [0.5, 0.5])


@pytest.fixture
def no_run(monkeypatch):
    """As if outside pytest."""
    monkeypatch.setattr(rates, "_ACTIVE", [])
    monkeypatch.setattr(rates, "_EARLY", rates.Ledger())


@pytest.fixture
def run(no_run):
    """A test run's ledger, open for this test only."""
    opened = rates.begin(1e-5)
    opened.test = "tests/test_mine.py::test_it"
    return opened


def verify(drafts, draft_probs, target_probs, generator, floor=0.0):
    """Modified rejection sampling with a bonus token; with ``floor``, a wrong residual."""
    window = drafts.shape[1]
    target = target_probs[:, :window]
    ratio = (target / draft_probs).gather(-1, drafts[..., None])[..., 0]
    accepted = torch.rand(drafts.shape, generator=generator) < ratio
    count = accepted.long().cumprod(1).sum(1)
    residual = (target - draft_probs).clamp(min=floor)
    residual = torch.where(residual.sum(-1, keepdim=True) > 0, residual, target)
    last = torch.cat([residual, target_probs[:, window:]], 1)[torch.arange(len(drafts)), count]
    out = torch.cat([drafts, drafts[:, :1]], 1)
    out[torch.arange(len(drafts)), count] = torch.multinomial(last, 1, generator=generator)[:, 0]
    return out, count + 1


def traced(model, num_sequences, seed):
    return decode(model, "scd-gs", 3, num_sequences, seed, record="laws", progress=False).trace


def biased(model, num_sequences, seed):
    return subjects.ancestral(TableModel(2, [0.6, 0.4]), num_sequences, seed)


# -------------------------------------------------------------------------------------------------- who passes, who not


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lossless", "model", "limit"),
    [
        pytest.param(subject("scd-mc", 3), MODEL, 1_500, id="callable"),
        pytest.param(traced, MODEL, 500, id="callable that returns traces"),
        pytest.param(subjects.kernel(verify, vocab_size=4, window=2), None, 1_500, id="kernel"),
    ],
)
def test_a_lossless_subject_passes(lossless, model, limit):
    verdict = assert_lossless(lossless, model, alpha=EACH, max_sequences=limit)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.num_sequences == limit


@pytest.mark.slow
def test_a_trace_passes_by_itself_and_by_its_path(tmp_path):
    trace = traced(MODEL, 300, 5)
    assert assert_lossless(trace, MODEL, alpha=EACH, resolution=0.3).num_sequences == 300
    decode(MODEL, "scd-gs", 3, 300, 6, record="laws", out_path=tmp_path / "run.zarr", progress=False)
    assert assert_lossless(tmp_path / "run.zarr", MODEL, alpha=EACH, resolution=0.3).num_sequences == 300


@pytest.mark.slow
@pytest.mark.parametrize("name", ["argmax-draft", "row-shifted", "drop-residual"])
def test_a_planted_fault_fails_by_its_tokens(name):
    with pytest.raises(AssertionError, match="does not sample from its target law"):
        assert_lossless(get_fault(name).subject(3), get_fault(name).model(), max_sequences=40_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stale-law", "longest-branch", "lenient-acceptance", "row-shifted"])
def test_a_planted_fault_fails_by_its_trace_and_is_named(name):
    fault = get_fault(name)
    with pytest.raises(AssertionError, match=f"Broken: {fault.condition.value} - "):
        assert_lossless(fault.traced(3), fault.model(), max_sequences=10_000)


@pytest.mark.slow
def test_a_recorded_trace_of_a_fault_fails():
    fault = get_fault("drop-residual")
    with pytest.raises(AssertionError, match="trace of reference drop-residual breaks the condition of selection"):
        assert_lossless(fault.traced(3)(fault.model(), 2_000, 0), fault.model())


@pytest.mark.slow
def test_a_kernel_with_a_wrong_residual_fails():
    with pytest.raises(AssertionError, match=r"Broken: verification - (.|\n)*To repeat it"):
        assert_lossless(subjects.kernel(partial(verify, floor=0.01)))


# ------------------------------------------------------------------------------------------------------------- messages


@pytest.mark.slow
def test_the_message_says_what_broke_and_how_to_repeat_it():
    with pytest.raises(AssertionError) as caught:
        assert_lossless(biased, FAIR, alpha=1e-7, max_sequences=3_000, seed=7)
    message = str(caught.value)
    first, second, *_ = message.splitlines()
    assert first == "tests.testing.test_lossless:biased does not sample from its target law."
    again = audit(biased, FAIR, alpha=1e-7, max_sequences=3_000, seed=7, progress=False)
    assert second == str(again).splitlines()[0]
    assert re.fullmatch(r"REFUTED: ln E = .* after .* sequences .*, resolution .*\.", second)
    assert all(finding.message in message for finding in again.findings)
    assert "audit(tests.testing.test_lossless:biased, TableModel, alpha=1e-07, max_sequences=3000, seed=7)" in message
    assert "refuted here with probability at most 1e-07" in message


@pytest.mark.slow
def test_too_few_sequences_fail_unless_any_resolution_will_do():
    with pytest.raises(AssertionError, match="100 sequences resolve a total variation of 0") as caught:
        assert_lossless(subjects.ancestral, FAIR, alpha=EACH, max_sequences=100)
    assert "INCONCLUSIVE" in str(caught.value)
    needed = int(re.search(r"Allow about ([\d,]+),", str(caught.value))[1].replace(",", ""))
    assert 200 < needed < 1_000
    verdict = assert_lossless(subjects.ancestral, FAIR, alpha=EACH, max_sequences=needed + needed // 10)
    assert verdict.resolution <= 0.2
    verdict = assert_lossless(subjects.ancestral, FAIR, alpha=EACH, max_sequences=100, resolution=None)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    with pytest.raises(AssertionError, match=r"resolution=0\.01 was asked for"):
        assert_lossless(subjects.ancestral, FAIR, alpha=EACH, max_sequences=1_000, resolution=0.01)


def test_a_refutation_needs_no_resolution():
    with pytest.raises(AssertionError, match="does not sample"):
        assert_lossless(lambda m, n, s: biased(m, n, s) * 0, FAIR, max_sequences=64)


@pytest.mark.slow
def test_worst_outcomes_of_an_exact_law_come_first():
    """Draws 0 or 1 or 2 with thirds; the law asked for has them at 1/3 + .2, 1/3 - .15, 1/3 - .05."""
    law = {0: 1 / 3 + 0.2, 1: 1 / 3 - 0.15, 2: 1 / 3 - 0.05}
    sampler = lambda: int(torch.randint(3, ()))  # noqa: E731
    with pytest.raises(AssertionError) as caught:
        exported_assert_exact(sampler, law)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("the law differs (tolerance 1e-12): total variation 0.2")
    assert [line.split()[0] for line in lines[2:]] == ["0", "1", "2"]
    assert [float(line.split()[-1]) for line in lines[2:]] == pytest.approx([-0.2, 0.15, 0.05])
    assert exported_assert_exact(sampler, {0: 1 / 3, 1: 1 / 3, 2: 1 / 3}).branches == 3
    assert exported_assert_exact is assert_exact


# ------------------------------------------------------------------------------------------------- rates and the ledger


@pytest.mark.slow
def test_alpha_comes_from_the_call_then_the_run_then_a_default(run):
    assert assert_lossless(subjects.ancestral, FAIR, alpha=EACH, max_sequences=1_000).alpha == EACH
    with pytest.raises(AssertionError, match="alpha=1e-05"):
        assert_lossless(biased, FAIR)
    rates.end(run)
    with pytest.raises(AssertionError, match="alpha=1e-06"):
        assert_lossless(biased, FAIR)
    assert rates.begin(None).alpha == 1e-6
    assert len(run.take()) == 2


@pytest.mark.slow
def test_every_verdict_is_entered_and_an_error_is_not(run):
    assert_lossless(subjects.ancestral, FAIR, alpha=EACH, max_sequences=1_000, seed=3)
    with pytest.raises(AssertionError):
        assert_lossless(get_fault("argmax-draft").traced(3), get_fault("argmax-draft").model())
    with pytest.raises(AssertionError):
        assert_lossless(subjects.ancestral, FAIR, alpha=EACH, max_sequences=100)
    for wrong in (lambda m, n, s: torch.zeros(1), lambda m, n, s: 1 / 0):
        with pytest.raises((InputError, ZeroDivisionError)):
            assert_lossless(wrong, FAIR)
    with pytest.raises(InputError, match="model = None"):
        assert_lossless(biased)
    run.merge(run.take())
    stands, broken, few = run.audits
    assert stands == rates.Audited(
        test="tests/test_mine.py::test_it",
        subject="scd_analysis.subjects:ancestral",
        alpha=EACH,
        seed=3,
        num_sequences=1_000,
        resolution=stands.resolution,
        outcome="NOT_REFUTED",
        log_e_value=stands.log_e_value,
        epsilon_refuted=0.0,
    )
    assert stands.log_e_value < math.log(1 / EACH)
    assert broken.log_e_value >= math.log(1e5)
    assert (broken.outcome, broken.condition, broken.alpha) == ("REFUTED", "declared-law", 1e-5)
    assert few.outcome == "INCONCLUSIVE"
    assert few.resolution > stands.resolution
    assert run.false_fail_rate == pytest.approx(1e-5 + 2 * EACH)


def test_a_subject_is_named(tmp_path):
    assert name_of(biased) == "tests.testing.test_lossless:biased"
    assert name_of(partial(partial(biased), seed=1)) == "tests.testing.test_lossless:biased"
    assert name_of(tmp_path) == name_of(str(tmp_path)) == str(tmp_path)
    assert name_of(subjects.kernel(verify)) == "tests.testing.test_lossless:verify"
    trace = traced(MODEL, 2, 0)
    assert name_of(trace) == name_of(subjects.trace(trace)) == "trace of reference scd-gs"
    assert name_of(subjects.recorded([[0, 1]])) == "Recorded"
