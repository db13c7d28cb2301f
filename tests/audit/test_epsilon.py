"""An audit up to epsilon: what is asked, what is refuted, and what the verdict says of the size."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from reference import TabularModel, decode
from reference.broken import get_fault
from scd_analysis import Outcome, Verdict, audit
from scd_analysis.audit.drift import EDGES, mean_between
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.report import charts, write_report
from scd_analysis.report.load import read_verdict
from scd_analysis.report.outcomes import worst_section
from scd_analysis.subjects import kernel
from scd_analysis.testing import assert_lossless
from tests.audit import test_kernels as kernels
from tests.statistics import ledger

MODEL = TabularModel.random(vocab_size=3, num_tokens=4, concentration=5.0, seed=1)


def laws_of(model, tokens: np.ndarray) -> np.ndarray:
    """Return Float[S, t + 1, V]."""
    return model.next_token_probs(torch.from_numpy(tokens)).double().numpy()


class Mixed:
    """Ancestral sampling with a share of every law put on its most probable token: off by ``share * (1 - max p)``."""

    def __init__(self, share: float) -> None:
        self.share = share

    def laws(self, laws: np.ndarray) -> np.ndarray:
        """Return the laws that are sampled from instead."""
        return (1 - self.share) * laws + self.share * np.eye(laws.shape[-1])[laws.argmax(axis=-1)]

    def __call__(self, model, num_sequences, seed):
        rng, tokens = np.random.default_rng(seed), np.zeros((num_sequences, model.num_tokens), dtype=np.int64)
        for j in range(model.num_tokens):
            laws = self.laws(laws_of(model, tokens[:, :j])[:, -1])
            drawn = (laws.cumsum(axis=-1) <= rng.random((num_sequences, 1))).sum(axis=-1)
            tokens[:, j] = np.minimum(drawn, laws.shape[-1] - 1)
        return tokens


FAR = Mixed(0.3)
TRUTH = 0.3 * 2 / 3
"""Of ``FAR``, at most: no token of three is the most probable one with a probability below 1/3."""

WITHIN = ledger("audit up to epsilon: within the ball", 4e-7, power=0.99, resolution=0.2)


@pytest.fixture(scope="module")
def far() -> Verdict:
    """A decoder that is off by about .15, at epsilon .05."""
    return audit(FAR, MODEL, epsilon=0.05, max_sequences=4000)


def test_a_decoder_beyond_epsilon_is_refuted_with_its_size(far: Verdict) -> None:
    assert far.outcome is Outcome.REFUTED
    assert far.epsilon == 0.05
    assert 0.05 <= far.epsilon_refuted <= TRUTH
    assert "further than epsilon = 0.05" in far.sentence
    assert far.fails_to == "does not sample within epsilon = 0.05 of its target law"
    assert f"further than {far.epsilon_refuted:g}" in str(far)
    assert dict(far.log_e_by_epsilon)[0.05] >= math.log(1e6)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_decoder_within_epsilon_is_not_refuted(share: float) -> None:
    verdict = audit(Mixed(share), MODEL, 1e-7, epsilon=0.2, max_sequences=500, resolution=0.6)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.epsilon_refuted <= share * 2 / 3
    assert 0.2 < verdict.resolution < 0.6
    assert "no law of a token" in verdict.sentence


def test_epsilon_zero_is_the_audit_as_it_was_with_a_size_beside(far: Verdict) -> None:
    """ln E of 200 sequences was computed before there were balls."""
    verdict = audit(FAR, MODEL, max_sequences=4000)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.num_sequences < far.num_sequences
    assert verdict.epsilon == 0
    assert 0 <= verdict.epsilon_refuted <= TRUTH
    assert "epsilon" not in verdict.sentence


def test_a_token_of_probability_zero_refutes_at_epsilon_zero_alone() -> None:
    """One in a hundred tokens is impossible."""

    class Three:
        vocab_size, num_tokens = 3, 20

        def next_token_probs(self, tokens):
            return np.broadcast_to([0.5, 0.5, 0.0], (len(tokens), tokens.shape[1] + 1, 3))

    def flips(model, num_sequences, seed):
        rng = np.random.default_rng(seed)
        tokens = rng.integers(2, size=(num_sequences, 20))
        return np.where(rng.random(tokens.shape) < 0.01, 2, tokens)

    assert audit(flips, Three(), max_sequences=100).log_e_value == math.inf
    assert audit(flips, Three(), 1e-7, max_sequences=300, epsilon=0.02).outcome is not Outcome.REFUTED
    assert audit(flips, Three(), max_sequences=1500, epsilon=0.002).outcome is Outcome.REFUTED


@pytest.mark.slow
def test_a_verdict_with_a_size_comes_back_from_its_json_and_is_reported(far: Verdict, tmp_path) -> None:
    read = read_verdict(json.loads(far.to_json()))
    assert (read.epsilon, read.epsilon_refuted) == (far.epsilon, far.epsilon_refuted)
    assert read.log_e_by_epsilon == far.log_e_by_epsilon
    write_report(tmp_path / "report.html", far)
    page = (tmp_path / "report.html").read_text()
    assert "How far from the target it is at least" in page
    frame = charts.size(far).frame
    assert list(zip(frame["epsilon"], frame["ln E"], strict=True)) == list(far.log_e_by_epsilon)
    with pytest.raises(InputError, match="epsilon_refuted = 2"):
        read_verdict(json.loads(far.to_json()) | {"epsilon_refuted": 2.0})


def test_assert_lossless_takes_epsilon() -> None:
    assert_lossless(FAR, MODEL, epsilon=0.2, max_sequences=1000, resolution=None)
    with pytest.raises(AssertionError, match="further than epsilon"):
        assert_lossless(FAR, MODEL, epsilon=0.05)


NEAR = ledger("audit up to epsilon: kernels and traces within the ball", 4e-7)


def skewed(share, slip=None):
    """A kernel that verifies against laws which are off by ``share * (1 - max p)``, and may have a slip besides."""

    def verify(drafts, draft_probs, target_probs, generator):
        laws = Mixed(share).laws(target_probs.double().numpy())
        return kernels.verify(drafts, draft_probs, torch.from_numpy(laws).float(), generator, slip=slip)

    return kernel(verify, vocab_size=5, window=2)


@pytest.mark.slow
def test_a_kernel_is_judged_by_what_it_commits() -> None:
    """Off by .03 at most: refuted at epsilon 0 and not at .03; a slip is, and one that is off by .3."""
    for share, epsilon, slip, refuted in (
        (0.03, 0.03, None, False),
        (0.0, 0.01, "target", True),
        (0.3, 0.03, None, True),
    ):
        verdict = audit(
            skewed(share, slip), alpha=1e-7, epsilon=epsilon, max_sequences=2000, rule="mrs", progress=False
        )
        assert (verdict.outcome is Outcome.REFUTED) == refuted, (share, epsilon, slip)
        assert verdict.epsilon_refuted <= (1.0 if slip else share)
        assert (verdict.epsilon_refuted >= epsilon) == refuted


class Drifting:
    """The model with a share of every law put on its most probable token."""

    vocab_size, num_tokens = MODEL.vocab_size, MODEL.num_tokens

    def next_token_probs(self, tokens):
        """Return Float[B, t + 1, V]."""
        return torch.from_numpy(Mixed(0.03).laws(MODEL.next_token_probs(tokens).double().numpy())).float()


@pytest.mark.slow
def test_a_trace_is_judged_by_the_laws_it_records_and_by_their_drift() -> None:
    """A decoder of laws that are off by some .015 on average: refuted at 0 at once, at .005 by drift, at .05 not."""
    trace = decode(Drifting(), "scd-mc", 3, 250, seed=2, record="laws").trace.load()
    exactly, beyond, within = (
        audit(trace, MODEL, 1e-7, epsilon=epsilon, rule="mrs", progress=False) for epsilon in (0.0, 0.005, 0.05)
    )
    assert (exactly.outcome, exactly.condition) == (Outcome.REFUTED, Condition.TARGET)
    assert exactly.drift is None
    assert (beyond.outcome, beyond.condition) == (Outcome.REFUTED, Condition.TARGET)
    assert "drift" in beyond.diagnosis.cause
    assert "jumps" not in beyond.diagnosis.cause
    assert within.outcome is not Outcome.REFUTED
    met = laws_of(MODEL, np.asarray(trace["tokens"].values, dtype=np.int64)[:, :-1])
    drift, truth = within.drift, 0.03 * (1 - met.max(axis=-1)).mean()
    assert drift.low <= drift.mean <= drift.high
    assert drift.mean == pytest.approx(truth, rel=0.05)  # bonus tokens have none
    assert drift.of_sequences <= 5 * drift.high
    assert sum(one.count for one in drift.by if one.by == "slot") == drift.count
    assert "Drift: mean" in str(within)
    assert read_verdict(json.loads(within.to_json())).drift == drift
    assert "How far the recorded laws are" in str(worst_section(within, None))


def test_a_faulty_decoder_of_drifting_laws_is_named_by_its_fault() -> None:
    """Its laws drift within epsilon; its residual is drawn from the target."""
    trace = get_fault("residual-from-target").decode(Drifting(), 3, 800, seed=2, record="laws").trace.load()
    verdict = audit(trace, MODEL, epsilon=0.05, rule="mrs", progress=False)
    assert (verdict.outcome, verdict.condition) == (Outcome.REFUTED, Condition.VERIFICATION)


def test_a_stale_cache_is_a_drift_that_jumps_after_a_rejection() -> None:
    fault = get_fault("stale-cache")
    model = fault.model()
    trace = fault.decode(model, fault.window, 200, seed=2, record="laws").trace.load()
    verdict = audit(trace, model, epsilon=0.01, progress=False)
    assert (verdict.outcome, verdict.condition) == (Outcome.REFUTED, Condition.TARGET)
    assert "jumps after a rejection" in verdict.diagnosis.cause


def test_a_trace_without_laws_or_model_has_no_drift() -> None:
    trace = decode(MODEL, "scd-mc", 3, 50, seed=2, record="scalars").trace.load()
    with pytest.raises(InputError, match="the laws that the decoder used, recorded"):
        audit(trace, MODEL, epsilon=0.01)
    assert audit(trace, MODEL, epsilon=0.01, rule="any").rule == "any"


@pytest.mark.parametrize("values", [[0.0] * 400, [0.02, 0.001] * 300, [0.0] * 300 + [1.0] * 10])
def test_the_interval_of_a_mean_holds_it(values) -> None:
    counts = np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES))
    low, high = mean_between(counts)
    assert low <= np.mean(values) <= high
    assert high < np.mean(values) + 0.1
    assert low > np.mean(values) / 10 or not any(values)


@pytest.mark.parametrize("epsilon", [-0.1, 1.0, 1.5, float("nan")])
def test_an_epsilon_that_is_none_is_refused(epsilon: float) -> None:
    with pytest.raises(InputError, match="epsilon"):
        audit(FAR, MODEL, epsilon=epsilon)
