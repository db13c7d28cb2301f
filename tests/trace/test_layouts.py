"""Layouts of real loops: drafts padded by -1, and passes without drafts."""

import numpy as np
import pytest

from scd_analysis import Outcome, TraceWriter, audit, open_trace
from scd_analysis.conditions import Condition
from scd_analysis.errors import TraceError
from scd_analysis.trace import validate
from tests.evidence.decoders import random_tables
from tests.statistics import ledger

V, N, L = 4, 6, 4
MODEL = random_tables(V, N, 0.7, np.random.default_rng(5))
STANDS = ledger("layouts: exact decoders are not refuted at 1e-8", 2e-8)


def pick(rng, law):
    upto = np.cumsum(law)
    return int(min((upto <= rng.random() * upto[-1]).sum(), V - 1))


def residual(p, q):
    left = np.maximum(p - q, 0)
    return left if left.sum() > 1e-12 else p


def law(tokens):
    return MODEL.next_token_probs(np.array([tokens], dtype=int).reshape(1, -1))[0, -1]


def padded(values, empty):
    values = [np.asarray(value) for value in values]
    like = values[0] if values else np.zeros(V if empty == 0.25 else ())
    return np.stack([*values, *[np.full(like.shape, empty)] * (L - len(values))])


def recorded(base, x, after, accepted, q, p):
    return {
        "base": base,
        "draft_token": padded(x, -1),
        "next_token": padded(after, 0),
        "accepted": np.arange(L) < accepted,
        "draft_probs": padded(q, 0.25),
        "target_probs": padded(p, 0.25),
    }


def lookup(rng, slip=False):
    """Drafts from the uniform law, as many as were found: often none. No bonus token is told; -1 fills the window.

    With ``slip`` what follows the drafts is drawn from the uniform law.
    """
    out, passes = [], []
    while len(out) < N:
        x = [int(token) for token in rng.integers(V, size=min(rng.integers(0, 3), N - 1 - len(out)))]
        p = [law([*out, *x[:k]]) for k in range(len(x) + 1)]
        n = next((k for k, token in enumerate(x) if rng.random() * 0.25 >= p[k][token]), len(x))
        last = np.full(V, 0.25) if slip and n == len(x) else p[n] if n == len(x) else residual(p[n], np.full(V, 0.25))
        after = [*x[:n], pick(rng, last), *x[n + 1 :]]
        own = recorded(len(out), x, after, n, [np.full(V, 0.25)] * len(x), p[: len(x)])
        passes.append(own | {"age": np.zeros(L, dtype=int)})
        out += after[: n + 1]
    return out, passes


def traced(decode, **how):
    def subject(model, num_sequences, seed, tokens_known=True, chunk=None):
        runs = [decode(np.random.default_rng([seed, i]), **how) for i in range(num_sequences)]
        with TraceWriter(vocab_size=V, num_tokens=N, window=L, decoder="x", laws=True, chunk=chunk) as trace:
            trace.begin_batch(num_sequences)
            for t in range(max(len(passes) for _, passes in runs)):
                index = [i for i, (_, passes) in enumerate(runs) if t < len(passes)]
                rows = [runs[i][1][t] for i in index]
                trace.append(sequence=index, **{name: np.stack([row[name] for row in rows]) for name in rows[0]})
            trace.finish_batch(tokens=[tokens for tokens, _ in runs] if tokens_known else None)
        return open_trace(trace.store)

    return subject


@pytest.mark.parametrize("chunk", [None, 1])
@pytest.mark.parametrize("decode", [traced(lookup), traced(lookup, slip=True)])
def test_a_trace_of_the_layout_holds_together_and_holds_the_tokens(decode, chunk):
    """Also where the pass that is completed was written long ago (chunks of one pass)."""
    trace = decode(MODEL, 8, 3, chunk=chunk)
    validate(trace, laws=True)
    reached = (trace["base"] + trace["num_committed"]).max("iteration").values
    assert (reached == N).all()


@pytest.mark.slow
@pytest.mark.parametrize("decode", [traced(lookup)])
def test_an_exact_decoder_of_the_layout_stands(decode):
    verdict = audit(decode, MODEL, alpha=1e-8, max_sequences=64, rule="mrs", resolution=0.5, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decode", "condition"),
    [(traced(lookup, slip=True), Condition.VERIFICATION)],
)
def test_a_fault_in_the_layout_is_found(decode, condition):
    verdict = audit(decode, MODEL, max_sequences=600, rule="mrs", progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is condition


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (3, "moves by other than num_committed, .* and the bonus token$"),
        (2, "moves by other .*; a token that a pass commits behind its drafts, or without any, is bonus_token"),
    ],
)
def test_what_is_ambiguous_names_the_remedy(step, what):
    none, drafts = [[0, 0, 0, 0]], [[1, 1, 1, 1]]
    with TraceWriter(vocab_size=V, num_tokens=N, window=L, decoder="x") as trace:
        trace.append(base=[0], draft_token=[[2, -1, -1, -1]], next_token=[[2, -1, -1, -1]], accepted=[[1, 0, 0, 0]])
        trace.append(base=[step], draft_token=drafts, next_token=drafts, accepted=none)
    with pytest.raises(TraceError, match=what):
        validate(open_trace(trace.store))


def test_tokens_behind_the_drafts_are_bonus_tokens():
    with TraceWriter(vocab_size=V, num_tokens=N, window=L, decoder="x") as trace:
        trace.append(base=[0], draft_token=[[2, -1, -1, -1]], next_token=[[2, 3, 0, 0]], accepted=[[1, 0, 0, 0]])
        trace.append(base=[2], draft_token=[[-1] * 4], next_token=[[1, 0, 0, 0]], accepted=[[0] * 4])
        trace.append(base=[3], draft_token=[[1] * 4], next_token=[[2] * 4], accepted=[[0] * 4])
    opened = open_trace(trace.store)
    assert opened["bonus_token"].values[0, :2].tolist() == [3, 1]
    assert np.isnan(opened["bonus_token"].values[0, 2])
    assert opened["num_committed"].values[0].tolist() == [2, 1, 1]
