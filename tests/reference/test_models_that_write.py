"""Models that write into what they are given, use one buffer again, or return tensors of unusual kinds."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from reference import GuidedModel, ProcessedModel, Processors, TabularModel, check_model, decode
from reference.methods import METHODS
from scd_analysis import Outcome, audit
from scd_analysis.errors import InputError, LawError
from scd_analysis.subjects import ancestral, kernel
from scd_analysis.validate import as_array
from tests.statistics import ledger

TABLES = TabularModel.random(3, 6, 0.7, seed=0)
SHORT = TabularModel([[[0.5, 0.25, 0.25]], [[0.25, 0.75, 0.0], [0.0, 0.5, 0.5], [0.25, 0.25, 0.5]]])
"""Dyadic probabilities, which types of few bits hold exactly."""


def model(law, tables=TABLES):
    """A model that answers by a function of its tokens, without a session of its own."""
    return SimpleNamespace(vocab_size=tables.vocab_size, num_tokens=tables.num_tokens, next_token_probs=law)


def writes(tokens):
    probs = TABLES.next_token_probs(tokens)
    tokens.fill_(0)
    return probs


def writes_through_numpy(tokens):
    probs = TABLES.next_token_probs(tokens)
    tokens.numpy()[:] = 1
    return probs


class WritesLater:
    """Keeps a view of what it was given, and writes into it at the next call."""

    def __init__(self):
        self.kept = None

    def __call__(self, tokens):
        probs = TABLES.next_token_probs(tokens)
        if self.kept is not None:
            self.kept.zero_()
        self.kept = tokens[:, :1]
        return probs


class OneBuffer:
    """Returns views of one tensor, which the next call overwrites."""

    def __init__(self):
        self.buffer = torch.full((64, 6, 3), torch.nan, dtype=torch.float64)

    def __call__(self, tokens):
        probs = TABLES.next_token_probs(tokens)
        self.buffer[:] = torch.nan
        out = self.buffer[: len(probs), : probs.shape[1]]
        out[:] = probs
        return out


def not_contiguous(tokens):
    return TABLES.next_token_probs(tokens).transpose(0, 2).contiguous().transpose(0, 2)


def needs_grad(tokens):
    return TABLES.next_token_probs(tokens).requires_grad_()


def sparse(tokens):
    return TABLES.next_token_probs(tokens).to_sparse()


KINDS = {
    "writes": lambda: writes,
    "writes through numpy": lambda: writes_through_numpy,
    "writes later": WritesLater,
    "one buffer": OneBuffer,
    "not contiguous": lambda: not_contiguous,
    "needs a gradient": lambda: needs_grad,
    "sparse": lambda: sparse,
}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_the_model_that_does_not(kind, method):
    args = {"method": method, "window": 3, "num_sequences": 12, "record": "laws"}
    out, plain = decode(model(KINDS[kind]()), **args), decode(model(TABLES.next_token_probs), **args)
    assert torch.equal(out.tokens, plain.tokens)
    assert torch.equal(out.nfe, plain.nfe)
    np.testing.assert_array_equal(out.trace.target_probs.values, plain.trace.target_probs.values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e5m2])
def test_laws_in_few_bits_are_taken_where_they_are_laws(dtype):
    short = lambda tokens: SHORT.next_token_probs(tokens).to(dtype)  # noqa: E731 -- dyadic, so nothing is rounded
    args = {"method": "scd-mc", "window": 2, "num_sequences": 20, "record": None}
    found, expected = (decode(model(law, SHORT), **args).tokens for law in (short, SHORT.next_token_probs))
    assert torch.equal(found, expected)
    with pytest.raises(LawError, match="sums to"):
        check_model(model(lambda tokens: 0.98 * TABLES.next_token_probs(tokens).to(torch.bfloat16)))


def test_one_law_for_all_rows_may_be_expanded():
    same = lambda tokens: torch.tensor([0.5, 0.25, 0.25]).expand(len(tokens), tokens.shape[1] + 1, 3)  # noqa: E731
    tokens = decode(model(same), "scd-mc", window=3, num_sequences=20, record="laws").tokens
    copy = decode(model(lambda tokens: same(tokens).clone()), "scd-mc", window=3, num_sequences=20, record=None).tokens
    assert torch.equal(tokens, copy)


def test_a_tensor_without_numbers_is_named():
    with pytest.raises(InputError, match="lies on the device 'meta': it holds no numbers"):
        decode(model(lambda tokens: torch.empty(len(tokens), tokens.shape[1] + 1, 3, device="meta")), "sjd", 2, 4)


def test_models_made_of_models_are_not_disturbed():
    def first(tokens):
        return torch.flip(writes(tokens), (-1,))

    guided = GuidedModel(model(first), model(TABLES.next_token_probs), 1.5)
    clean = GuidedModel(model(lambda t: torch.flip(TABLES.next_token_probs(t), (-1,))), TABLES, 1.5)
    tokens = torch.tensor([[2, 1, 0], [0, 1, 2]])
    torch.testing.assert_close(guided.next_token_probs(tokens), clean.next_token_probs(tokens))
    buffered = OneBuffer()
    both = GuidedModel(model(lambda t: buffered(1 - t.clamp(max=1))), model(buffered), 2.0)
    apart = GuidedModel(model(lambda t: TABLES.next_token_probs(1 - t.clamp(max=1))), TABLES, 2.0)
    torch.testing.assert_close(both.next_token_probs(tokens), apart.next_token_probs(tokens))
    kept = tokens.clone()
    ProcessedModel(model(writes), Processors(top_k=2)).next_token_probs(tokens)
    assert torch.equal(tokens, kept)


class WritingSession:
    def __init__(self, what):
        self.what = what

    def laws(self, tokens, rows, reach):
        probs = TABLES.next_token_probs(tokens[:, :5]).gather(1, rows[..., None].expand(-1, -1, 3))
        if self.what is not None:
            (tokens if self.what == "tokens" else rows).fill_(0)
        return probs

    def keep(self, index):
        pass


@pytest.mark.parametrize("what", ["tokens", "rows"])
def test_a_session_of_its_own_that_writes_is_told(what):
    own = model(TABLES.next_token_probs)
    own.open_session = lambda num_sequences, device: WritingSession(what)
    with pytest.raises(InputError, match=r"WritingSession.laws wrote into its tokens or rows"):
        decode(own, "sjd", 3, 4, record=None)
    own.open_session = lambda num_sequences, device: WritingSession(None)
    expected = decode(TABLES, "sjd", 3, 4, record=None).tokens
    assert torch.equal(decode(own, "sjd", 3, 4, record=None).tokens, expected)
    with torch.inference_mode():
        assert torch.equal(decode(own, "sjd", 3, 4, record=None).tokens, expected)


STANDS = ledger("models that write into their input: ancestral sampling is not refuted at 1e-8", 1e-8)


def test_an_audit_judges_the_tokens_that_were_drawn():
    """One sequence at a time is laid out as a model wants it, without a copy being needed for that."""

    def subject(_, num_sequences, seed):
        return ancestral(TABLES, num_sequences, seed)

    writing = model(writes_through_numpy)
    assert audit(subject, writing, alpha=1e-8, max_sequences=600, progress=False).outcome is not Outcome.REFUTED
    tokens = np.array([[2, 1, 0, 2, 1, 0]])
    from scd_analysis.audit.target import Target

    Target(writing).ask(tokens)
    np.testing.assert_array_equal(tokens, [[2, 1, 0, 2, 1, 0]])


# -- kernels ----------------------------------------------------------------------------------------------------------


def first_drafts(draft_tokens, draft_probs, target_probs, generator):
    """Commit two tokens a window: the first draft, and another token than the second."""
    return torch.stack([draft_tokens[:, 0], (draft_tokens[:, 1] + 1) % 5], 1), torch.full((len(draft_tokens),), 2)


TENSORS = {
    "bfloat16": lambda x: x.to(torch.bfloat16),
    "float16": lambda x: x.half(),
    "int8": lambda x: x.to(torch.int8),
    "sparse": lambda x: x.to_sparse(),
    "not contiguous": lambda x: x.T.contiguous().T if x.ndim == 2 else x,
    "needs a gradient": lambda x: x.double().requires_grad_(),
    "negative view": lambda x: torch._neg_view(-x),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_what_a_kernel_returns_may_be_any_tensor(kind):
    def function(*given):
        return tuple(TENSORS[kind](part) for part in first_drafts(*given))

    tokens, law = np.arange(20).reshape(10, 2) % 5, np.full((10, 3, 5), 0.2)
    expected = kernel(first_drafts, vocab_size=5, window=2).verify_window(tokens, law[:, :2], law, 0)
    found = kernel(function, vocab_size=5, window=2).verify_window(tokens, law[:, :2], law, 0)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_kernels_tensor_without_numbers_is_named():
    function = lambda *given: tuple(part.to("meta") for part in first_drafts(*given))  # noqa: E731
    with pytest.raises(InputError, match="kernel's tokens is a tensor on the meta device: it has no data"):
        audit(kernel(function, vocab_size=5, window=2), progress=False)
    with FakeTensorMode(), pytest.raises(InputError, match="fake is not an array of numbers"):
        as_array(torch.ones(2), "fake")


def test_a_kernel_that_writes_into_all_it_is_given_is_judged_by_what_it_was_given():
    def function(draft_tokens, draft_probs, target_probs, uniforms):
        out = first_drafts(draft_tokens, draft_probs, target_probs, None)
        for part in (draft_tokens, draft_probs, target_probs, uniforms):
            part[:] = 1
        return out

    tokens, law = np.arange(20).reshape(10, 2) % 5, np.full((10, 3, 5), 0.2)
    kept = tokens.copy(), law.copy()
    for numpy in (False, True):
        given = function if not numpy else lambda *a: function(*(torch.from_numpy(x) for x in a))
        roles = ("draft_tokens", "draft_probs", "target_probs", "uniforms")
        subject = kernel(given, arguments=roles, vocab_size=5, window=2, numpy=numpy)
        found = subject.verify_window(tokens, law[:, :2], law, 0)[0]
        np.testing.assert_array_equal(tokens, kept[0])
        np.testing.assert_array_equal(law, kept[1])
        np.testing.assert_array_equal(found[:, 0], tokens[:, 0])
