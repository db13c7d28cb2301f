"""Laws in fewer than 32 bits: taken for what they say, by models, decoders, traces and audits alike."""

import numpy as np
import pytest
import torch

import scd_analysis
from reference import TabularModel, decode
from scd_analysis import Outcome, audit, exact_target_law, total_variation
from scd_analysis.audit.adapters.engine_target import ModelLogits
from scd_analysis.errors import LawError
from scd_analysis.subjects import ancestral
from scd_analysis.validate import LAW_TOLERANCE, as_laws, law_tolerance
from tests.statistics import ledger

BASE = TabularModel.random(16, 6, 0.7, seed=1)
DTYPES = [torch.bfloat16, torch.float16, torch.float8_e4m3fn]
STANDS = ledger("narrow laws: a decoder is exact with respect to the laws it used, at 1e-8", 2 * len(DTYPES) * 1e-8)


class Narrow:
    """Laws that were made, and rounded, in a narrow precision; ``held`` in another one."""

    vocab_size, num_tokens = 16, 6

    def __init__(self, dtype, held=None):
        self.dtype, self.held = dtype, held or dtype

    def next_token_probs(self, tokens):
        return BASE.next_token_probs(tokens).to(self.dtype).to(self.held)


class Exact(Narrow):
    """The same laws, normalised in float64."""

    def next_token_probs(self, tokens):
        laws = super().next_token_probs(tokens).double()
        return laws / laws.sum(-1, keepdim=True)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_decoder_samples_exactly_from_the_laws_it_used(dtype):
    def subject(model, num_sequences, seed):
        return decode(Narrow(dtype), "scd-mc", 4, num_sequences, seed, record="laws").trace

    verdict = audit(subject, Exact(dtype), 1e-8, 300, resolution=0.5, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert {report.status for report in verdict.conditions} <= {"not refuted", "not tested"}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_an_audit_takes_its_models_laws_as_they_are(dtype):
    def subject(model, num_sequences, seed):
        return decode(Exact(dtype), "ar", 4, num_sequences, seed, record=None).tokens

    verdict = audit(subject, Narrow(dtype), 1e-8, 300, resolution=0.5, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED


@pytest.mark.parametrize("dtype", DTYPES[::2], ids=str)
def test_the_same_sums_are_refused_in_float32(dtype):
    """The twin: who has the bits has no excuse."""
    wide = Narrow(dtype, torch.float32)
    for call in (
        lambda: decode(wide, "scd-mc", 4, 8, 0),
        lambda: audit(lambda m, n, s: np.zeros((n, 6), dtype=int), wide, progress=False),
    ):
        with pytest.raises(LawError, match=r"sums to .*: a law sums to 1 within 0.0001"):
            call()


@pytest.mark.slow
def test_drift_of_narrow_laws_is_what_their_rounding_is():
    trace = decode(Narrow(torch.bfloat16), "scd-mc", 4, 300, 0, record="laws").trace
    verdict = audit(trace, BASE, epsilon=0.05, progress=False)
    tokens = torch.from_numpy(trace["tokens"].values.astype(np.int64))
    exact, narrow = (model.next_token_probs(tokens[:, :-1]).double() for model in (BASE, Exact(torch.bfloat16)))
    apart = 0.5 * (exact - narrow).abs().sum(-1).max()
    assert verdict.drift.largest == pytest.approx(float(apart), rel=0.01)


def written(laws):
    token = [[int(laws.argmax())]]
    with scd_analysis.TraceWriter(None, vocab_size=16, num_tokens=1, window=1, decoder="x", laws=True) as trace:
        trace.begin_batch(1)
        trace.append(base=[0], draft_token=token, next_token=token, accepted=[[1]], draft_probs=laws, target_probs=laws)
        trace.finish_batch(tokens=token, nfe=[1])
    return scd_analysis.open_trace(trace.store)


def test_a_writer_normalises_narrow_laws_and_refuses_wide_ones():
    laws = Narrow(torch.bfloat16).next_token_probs(torch.zeros(1, 1, dtype=torch.long))[:, 1:]
    assert abs(float(laws.double().sum()) - 1) > LAW_TOLERANCE
    assert written(laws)["target_probs"].values.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    with pytest.raises(LawError, match=r"a law sums to 1 within 0\.0001"):
        written(laws.float())


@pytest.mark.parametrize(
    ("laws", "more"),
    [(np.zeros(1), 0.0), (np.zeros(2, np.float16), 2**-10 + 2**-24), (torch.zeros(1, dtype=torch.bfloat16), 2**-7)],
)
def test_the_tolerance_is_that_of_the_precision(laws, more):
    assert law_tolerance(laws) == pytest.approx(LAW_TOLERANCE + more, abs=1e-12)


def test_what_underflows_is_forgiven_by_the_number_of_tokens():
    """The mass off the first token lies below half the smallest number of fp16, evenly: all of it is lost."""
    law = torch.full((1, 152_064), 0.004 / 152_063, dtype=torch.float64)
    law[0, 0] = 0.996
    assert as_laws(law.half(), "law").sum() == pytest.approx(1)
    with pytest.raises(LawError, match="sums to"):
        as_laws(0.99 * law.half(), "law")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_door_takes_them_and_has_no_excuse_for_float32(dtype):
    narrow, wide = Narrow(dtype), Narrow(dtype, torch.float32)
    doors = [
        lambda model: ancestral(model, 8, 0),
        lambda model: exact_target_law(Short(model)),
        lambda model: total_variation(model.next_token_probs(NOTHING)[0, 0], np.full(16, 1 / 16)),
        lambda model: ModelLogits(model)(np.array([1]), np.zeros((1, 5), dtype=int)),
    ]
    for door in doors:
        door(narrow)
        if float((wide.next_token_probs(NOTHING).double().sum(-1) - 1).abs().max()) > LAW_TOLERANCE:
            with pytest.raises(LawError, match="sums to"):
                door(wide)


NOTHING = torch.zeros(1, 0, dtype=torch.long)


class Short:
    """The first token of a model."""

    vocab_size, num_tokens = 16, 1

    def __init__(self, model):
        self.model = model

    def next_token_probs(self, tokens):
        return self.model.next_token_probs(tokens)[:, :1]
