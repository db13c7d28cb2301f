"""Kernels as engines have them: every form that is accepted has an exact twin that stands and a faulty one that falls.

Each right kernel is refuted with probability at most 1e-8. The faulty ones are refuted, on the seeds tried, within half
of the windows allowed; at 900 windows a committed token's total variation of 0.1 or so is resolved.
"""

from functools import partial

import numpy as np
import pytest
import torch

from scd_analysis import Outcome, audit
from scd_analysis.audit.kernel_settings import RowSettings, Setting, recognised
from scd_analysis.errors import InputError
from scd_analysis.subjects import kernel
from scd_analysis.testing import assert_exact_kernel
from tests.audit import engine_kernels as engines
from tests.statistics import ledger

STANDS = ledger("kernels of engines: right ones are not refuted at 1e-8", 2e-7)


def proved(function, **options):
    """The same by enumeration, on two tokens and two drafts: nothing is left to chance."""
    return assert_exact_kernel(function, vocab_size=2, laws=("different", "equal"), **options)


def refused(function, **options):
    with pytest.raises(AssertionError, match=r"is not exact\. Laws 'different'"):
        proved(function, **options)


def outcome(function, most=300, **options):
    subject = kernel(function, **options)
    return audit(subject, alpha=1e-8, max_sequences=most, resolution=0.5, rule="mrs", progress=False).outcome


RECOGNISED = {
    "vllm": (engines.rejection_sample, "recovered from the target", {}),
    "vllm without laws": (engines.rejection_sample, "recovered from the target", {"drafts": "without-laws"}),
    "vllm, rows": (engines.rejection_sample, "rows shifted by one", {}),
    "flashinfer": (engines.chain_speculative_sampling, "residual of the last row", {}),
    "sglang": (engines.chain_speculative_sampling_target_only, "children may come again", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECOGNISED)
def test_an_engines_function_is_recognised_by_its_parameters(name):
    function, slip, options = RECOGNISED[name]
    assert outcome(function, **options) is Outcome.NOT_REFUTED
    assert proved(function, **options).total_variation < 1e-12
    refused(partial(function, slip=slip), **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECOGNISED)
def test_a_slip_of_an_engines_function_is_found_by_samples(name):
    function, slip, options = RECOGNISED[name]
    assert outcome(partial(function, slip=slip), 4_000, **options) is Outcome.REFUTED


def padded(draft_tokens, lengths, draft_probs, target_probs, rng, slip=False):
    """Windows of several lengths as rows; drafts end with placeholders, the token after them comes from their row."""
    assert all((row[:m] >= 0).all() and (row[m:] == -1).all() for row, m in zip(draft_tokens, lengths, strict=True))
    out = np.full((len(lengths), draft_tokens.shape[1] + 1), -1)
    for i, m in enumerate(lengths):
        p = target_probs[i, : m + 1].copy()
        p[m] = target_probs[i, -1] if slip else p[m]
        tokens = engines.rejection(draft_tokens[i, :m], draft_probs[i], p, rng)
        out[i, : len(tokens)] = tokens
    return out


def without_lengths(draft_tokens, draft_probs, target_probs, rng, slip=False):
    """The same, where placeholders alone say how long a window is."""
    return padded(draft_tokens, (draft_tokens >= 0).sum(axis=1), draft_probs, target_probs, rng, slip)


def end_to_end(draft_tokens, boundaries, draft_probs, target_probs, generators, slip=False):
    """Windows end to end with a target row more for each, a generator a request, and lists returned."""
    out = []
    for i, generator in enumerate(generators):
        rows = slice(int(boundaries[i]), int(boundaries[i + 1]))
        own = slice(rows.start + (0 if slip else i), rows.stop + i + 1)
        x, q, p = draft_tokens[rows], draft_probs[rows], target_probs[own]
        uniforms, tokens = torch.rand(len(x), generator=generator), []
        for k in range(len(x)):
            if uniforms[k] * q[k, x[k]] >= p[k, x[k]]:
                rest = (p[k] - q[k]).clamp(min=0)
                tokens.append(int(torch.multinomial(rest, 1, generator=generator)))
                break
            tokens.append(int(x[k]))
        else:
            tokens.append(int(torch.multinomial(p[len(x)], 1, generator=generator)))
        out.append(tokens)
    return out


RAGGED = {
    "padded, with lengths": (padded, {"output": "padded", "numpy": True, "layout": "padded"}),
    "padded, without": (without_lengths, {"output": "padded", "numpy": True, "layout": "padded"}),
    "end to end": (end_to_end, {"output": "list"}),
    "end to end, none empty": (end_to_end, {"output": "list", "shortest": 1}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RAGGED)
def test_windows_of_several_lengths(name):
    function, options = RAGGED[name]
    assert outcome(function, **options) is Outcome.NOT_REFUTED
    assert outcome(partial(function, slip=True), 2_000, **options) is Outcome.REFUTED
    assert proved(function, **options).branches > 50
    refused(partial(function, slip=True), **options)


def rows_alone(x, q, p, rng, slip=False):
    """One window without batch dimension, as long as it is."""
    assert len(x) == len(q) == len(p) - 1
    return engines.rejection(x, q, p[::-1] if slip else p, rng)


def test_windows_of_several_lengths_one_at_a_time():
    arguments = ("draft_tokens", "draft_probs", "target_probs", "generator")
    options = {"arguments": arguments, "output": "list", "numpy": True, "layout": "flat", "batch_size": 0}
    assert outcome(rows_alone, **options) is Outcome.NOT_REFUTED
    assert outcome(partial(rows_alone, slip=True), **options) is Outcome.REFUTED


def mapped(draft_tokens, draft_probs, target_probs, draft_to_target, rng, slip=False):
    """Draft laws over the draft's vocabulary are spread over the target's."""
    laws = np.zeros_like(target_probs[:, : draft_probs.shape[1]])
    laws[..., np.arange(len(draft_to_target)) if slip else draft_to_target] = draft_probs
    if slip:
        laws = laws + 1e-6
    rows = zip(draft_tokens, laws, target_probs, strict=True)
    return [engines.rejection(x, q, p, rng) for x, q, p in rows]


def by_numbers(draft_vocab_tokens, draft_probs, target_probs, d2t, rng, slip=False):
    """Drafts as numbers of the draft's vocabulary, and the map as what is to be added to them."""
    ids = np.arange(len(d2t)) + d2t
    return mapped(draft_vocab_tokens if slip else ids[draft_vocab_tokens], draft_probs, target_probs, ids, rng)


@pytest.mark.slow
@pytest.mark.parametrize("function", [mapped, by_numbers])
def test_a_draft_vocabulary_is_mapped_into_the_targets(function):
    for ids in (None, [5, 0, 2]):
        options = {"output": "list", "numpy": True, "draft_to_target": ids}
        assert outcome(function, **options) is Outcome.NOT_REFUTED
    assert outcome(partial(function, slip=True), output="list", numpy=True) is Outcome.REFUTED


def test_a_draft_vocabulary_may_be_stated_for_laws_over_the_targets():
    def plain(draft_tokens, draft_probs, target_probs, rng):
        assert set(np.unique(draft_tokens)) <= {1, 4}
        assert (draft_probs[..., [0, 2, 3, 5]] == 0).all()
        return [engines.rejection(*row, rng) for row in zip(draft_tokens, draft_probs, target_probs, strict=True)]

    assert outcome(plain, output="list", numpy=True, draft_to_target=[1, 4]) is Outcome.NOT_REFUTED


SETTINGS = ((1.0, 6, 1.0, 0.0), (0.5, 6, 1.0, 0.0), (1.0, 2, 1.0, 0.0), (1.0, 6, 0.7, 0.0), (1.0, 6, 1.0, 0.2))
"""Temperature, top-k, top-p and min-p of requests, in turn."""


def filtered(laws):
    """Each row's own settings, applied one after the other; Float[B, L + 1, V]."""
    out = np.array(laws, dtype=np.float64)
    for i, own in enumerate(out):
        temperature, top_k, top_p, min_p = SETTINGS[i % len(SETTINGS)]
        own = own ** (1 / temperature)
        own /= own.sum(axis=-1, keepdims=True)
        order = np.argsort(-own, axis=-1, kind="stable")
        ordered = np.take_along_axis(own, order, axis=-1)
        keep = (np.arange(ordered.shape[-1]) < top_k) & (ordered.cumsum(axis=-1) - ordered < top_p)
        keep &= ordered >= min_p * ordered[..., :1]
        np.put_along_axis(own, order, np.where(keep, ordered, 0), axis=-1)
        out[i] = own / own.sum(axis=-1, keepdims=True)
    return out


def with_settings(draft_tokens, draft_probs, target_probs, rng):
    rows = zip(draft_tokens, draft_probs, filtered(target_probs), strict=True)
    return [engines.rejection(x, q, p, rng) for x, q, p in rows]


def shifted(laws):
    """What a kernel verifies against that reads the settings of the next request."""
    return filtered(np.asarray(laws)[::-1])[::-1]


@pytest.mark.parametrize(("processor", "expected"), [(filtered, "NOT_REFUTED"), (shifted, "REFUTED")])
def test_settings_of_requests_inside_the_kernel(processor, expected):
    assert outcome(with_settings, 800, output="list", numpy=True, processor=processor).name == expected


def unknown(draft_tokens, draft_probs, target_probs, generator, mystery):
    """Nobody knows what the last one is."""


WRONG = [
    (unknown, {}, "parameter 'mystery' of unknown.*could be anything.*wrap it.*unknown\\(..., mystery=...\\)"),
    (lambda draft_tokens, lengths, target_probs: 0, {}, "takes the lengths .* layout='padded', .* layout='flat'"),
    (padded, {"layout": "end"}, "layout='end' is not known; known: rows, padded, flat"),
    (padded, {"layout": "padded", "shortest": 5}, "shortest = 5: must lie between 0 and 4"),
    (padded, {"layout": "padded", "bonus": False, "shortest": 0}, "shortest = 0: must lie between 1 and 4"),
    (mapped, {"draft_to_target": [1, 6]}, r"draft_to_target\[1\] = 6: not a token"),
    (mapped, {"draft_to_target": [1, 1]}, r"draft_to_target\[1\] = 1: comes twice"),
    (mapped, {"draft_to_target": []}, r"draft_to_target has shape \(0,\)"),
    (engines.tree_speculative_sampling_target_only, {}, "takes a tree of drafts.*subjects.tree_kernel"),
]


@pytest.mark.parametrize(("function", "options", "words"), WRONG)
def test_what_is_unclear_is_said(function, options, words):
    with pytest.raises(InputError, match=words):
        kernel(function, **options)


def test_buffers_that_point_nowhere_are_refused():
    def nowhere(predicts, accept_index, accept_token_num, candidates, target_probs):
        accept_index[3, 0] = -7

    with pytest.raises(InputError, match=r"accept_index\[0, 0\] = -1: not a place in predicts, of 320"):
        audit(kernel(nowhere), progress=False)


TURNS = {"top-k": (1, 2, 6), "temperature": (1.0, 0.5), "alike": (2, 2)}


def of_logits(kind, slip=""):
    """Settings of requests are applied to logits inside, and nobody says which."""

    def setting(i, law):
        value = TURNS[kind][i % len(TURNS[kind])]
        if kind == "temperature":
            law = law ** (1 / value)
        else:
            law = np.where(law >= np.sort(law, axis=-1)[:, -value][:, None], law, 0)
        return law / law.sum(axis=-1, keepdims=True)

    def verify(draft_tokens, draft_probs, target_logits, rng):
        out = []
        for i, (x, q, logits) in enumerate(zip(draft_tokens, draft_probs, target_logits, strict=True)):
            law = np.exp(logits.astype(np.float64))
            law /= law.sum(axis=-1, keepdims=True)
            own = setting(i, law)
            if slip:  # the first draft is not tested
                q = np.concatenate([own[:1], q[1:]])
            out.append(engines.rejection(x, q, own, rng))
        return out

    return verify


def settled(kind, most=400, **options):
    subject = kernel(of_logits(kind, **options), output="list", numpy=True)
    return audit(subject, alpha=1e-8, max_sequences=most, resolution=0.5, rule="mrs", progress=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "named"), [("top-k", "top-k 1, top-k 2, none"), ("temperature", "none, temperature 0.5")]
)
def test_settings_that_differ_by_row_are_recognised(kind, named):
    verdict = settled(kind)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert f"in turn {named} (recognised" in verdict.findings[0].message
    assert named in verdict.record["path"]["why"]


@pytest.mark.slow
def test_a_filter_of_all_rows_is_none_of_requests_and_a_slip_beside_settings_is_refuted():
    assert settled("alike", 1_500).outcome is Outcome.REFUTED
    assert settled("top-k", 1_500, slip="first untested").outcome is Outcome.REFUTED


def test_settings_are_found_by_likelihood():
    """Rows of tokens drawn from processed laws and from others; without a setting none is found."""
    rng = np.random.default_rng(0)

    def drawn(setting, size):
        laws = rng.dirichlet(np.ones(4), size=(size, 3))
        own = laws if setting is None else setting(laws)
        tokens = (own.cumsum(axis=-1) < rng.random((size, 3, 1))).sum(axis=-1)
        return laws, np.where(np.arange(3) < rng.integers(1, 4, size=(size, 1)), np.minimum(tokens, 3), -1)

    turns = RowSettings((Setting(top_k=1), Setting(temperature=0.7), Setting()), 0.0)
    assert recognised(lambda size: drawn(turns, size), 4).settings == turns.settings
    assert recognised(lambda size: drawn(None, size), 4) is None
    assert recognised(lambda size: drawn(Setting(top_k=2), size), 4) is None
