"""With a trace: every planted fault is refuted and its condition named; lossless decoders stand."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from reference import Gumbel, Independent, Maximal, TabularModel, coupling_mixture, decode, get_method
from reference.broken import faults, get_fault
from scd_analysis import Outcome, audit
from scd_analysis.audit.conditions import independence
from scd_analysis.audit.traced import told
from scd_analysis.audit.verdict import Diagnosis
from scd_analysis.conditions import Condition
from tests.statistics import assert_rate_at_most, ledger

FAULTS = faults()
MISSED = ledger("audit of traces: a planted fault is missed or another condition named", 1e-7 * len(FAULTS))
"""Every fault was refuted, on the seeds tried, within a quarter of the sequences allowed here."""


def judged(fault, model, max_sequences=20_000, seed=0):
    return audit(fault.traced(fault.window), model, max_sequences=max_sequences, seed=seed, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refuted_and_named(name):
    fault = FAULTS[name]
    verdict = judged(fault, fault.model())
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is fault.condition
    broken = [report.condition for report in verdict.conditions if report.status == "broken"]
    assert broken == [fault.condition]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["argmax-draft", "drop-residual", "lenient-acceptance", "row-shifted", "unshifted-noise"]
)
def test_one_fault_a_condition_quickly(name):
    fault = FAULTS[name]
    verdict = judged(fault, fault.model(), 2_000)
    assert verdict.condition is fault.condition
    assert verdict.diagnosis.first_seen is not None
    assert fault.condition.value in str(verdict)


@pytest.mark.slow
@pytest.mark.parametrize("drafting", [Independent(), Maximal(), Gumbel()], ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("name", ["residual-of-logits", "shared-residual-uniform", "first-untested", "suffix-test"])
def test_wrong_verification_is_told_from_the_drafts_it_spoils(name, drafting):
    """Under maximal coupling a wrong replacement is also the next draft, so that the drafts' law is wrong too."""
    fault = FAULTS[name]
    fault = replace(fault, drafting=drafting)
    model = TabularModel.random(5, 5, 0.6, seed=7)
    verdict = audit(fault.traced(4), model, max_sequences=10_000, progress=False)
    assert verdict.condition is fault.condition
    disturbed = [
        report for report in verdict.conditions if report.status == "disturbed" and report.log_e_value < np.inf
    ]
    assert all(report.message.startswith(f"{fault.condition.value} explains it: as if ") for report in disturbed)


def test_what_the_broken_condition_explains_is_not_claimed():
    """Drafts of another law than declared look as if one variate served a slot again and again."""
    (again,) = (process for process in independence.USED_AGAIN if process.name == "drafts-again")
    running = SimpleNamespace(process=again, best=("blend", "one variate serves a slot at all passes of a sequence"))
    of = partial(Diagnosis, cause="", position=None, iteration=None, first_seen=0, size=None, evidence=(), lead=9.0)
    assert told(running, None) == told(running, of(Condition.INDEPENDENCE)) == running.best[1]
    assert told(running, of(None)) == running.best[1]
    explained = "declared-law explains it: as if one variate serves a slot at all passes of a sequence"
    assert told(running, of(Condition.DECLARED_LAW)) == explained


def without(name):
    def strip(trace):
        return trace.assign({name: trace[name] * np.nan})

    return strip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["longest-branch", "drop-residual", "shared-residual-uniform", "lenient-acceptance"])
def test_a_trace_without_variates_is_enough_for_most(name):
    fault, strip = FAULTS[name], without("uniform")
    model = TabularModel.random(5, 5, 0.6, seed=7)
    subject = lambda m, n, s: strip(fault.traced(4)(m, n, s))  # noqa: E731
    assert audit(subject, model, max_sequences=10_000, progress=False).condition is fault.condition


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neighbours-law", "redraw-in-draft", "residual-without-draft", "unshifted-noise"])
def test_a_trace_of_scalars_is_enough_where_the_model_is_small(name):
    """Its laws are asked for again, and declared laws told by the probability they give the draft."""
    fault = FAULTS[name]
    verdict = audit(fault.traced(fault.window, "scalars"), fault.model(), max_sequences=10_000, progress=False)
    assert verdict.condition is fault.condition


UNIFORM_LAW = replace(get_method("sjd"), name="sjd-uniform-law", initial_law="uniform")
"""First drafts with a law to bet against."""

LOSSLESS = [
    *(get_method(name) for name in ("ar", "sjd", "scd-mc", "scd-gs", "sjd-vp")),
    coupling_mixture("scd-mc", 0.5),
    UNIFORM_LAW,
]
STANDS = ledger("audit of traces: lossless methods are not refuted at 1e-7", len(LOSSLESS) * 1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("method", LOSSLESS, ids=lambda m: m.name)
def test_lossless_methods_stand(method):
    model = TabularModel.random(3, 4, 0.7, seed=1, zeros=0.2)
    subject = lambda m, n, s: decode(m, method, 3, n, s, "laws")  # noqa: E731
    verdict = audit(subject, model, STANDS / len(LOSSLESS), 800, progress=False)
    assert verdict.outcome is not Outcome.REFUTED
    assert verdict.condition is None
    assert {report.status for report in verdict.conditions} <= {"not refuted", "not tested"}


TYPE_ONE = ledger("audit of traces: type I", 2e-6, power=0.99, resolution=0.6)
TRIALS = 30


@pytest.mark.slow
def test_lossless_decoders_cross_no_more_than_alpha():
    """30 audits of 64 sequences, ln E at its largest, at alpha = 1/5; ``studies.calibration`` has thousands."""
    model, hits = TabularModel.random(3, 4, 0.7, seed=1), 0
    for i in range(TRIALS):
        method = ("sjd", "scd-mc", "scd-gs", UNIFORM_LAW)[i % 4]
        verdict = audit(
            lambda m, n, s, method=method: decode(m, method, 3, n, s, "laws"),
            model,
            alpha=1e-9,
            max_sequences=64,
            seed=i,
            progress=False,
        )
        hits += max(log_e for _, log_e in verdict.path) >= np.log(5)
    assert_rate_at_most(hits, TRIALS, 0.2, false_fail_rate=TYPE_ONE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stale-law", "undeclared-temperature", "shared-gumbel-row", "unshifted-noise"])
def test_a_trace_needs_ten_times_fewer_sequences(name):
    """For faults that samples show too: the audit of samples is not done after ten times as many."""
    fault = get_fault(name)
    model = fault.model()
    traced = judged(fault, model)
    samples = audit(fault.subject(fault.window), model, max_sequences=10 * traced.num_sequences, progress=False)
    assert samples.outcome is not Outcome.REFUTED


def test_conditions_say_what_they_ask():
    assert [c.value for c in Condition] == ["declared-law", "selection", "verification", "target", "independence"]
    assert all(c.statement for c in Condition)
