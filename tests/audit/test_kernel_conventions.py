"""Verification functions in the forms that people give them: one oracle, the same answer in every form.

By hand, for drafts a b whose uniforms .1 .9 accept a and reject b: a is kept, and b replaced by the token at which the
distribution function of the residual exceeds the last uniform.
"""

import numpy as np
import pytest
import torch

from scd_analysis import Outcome, audit
from scd_analysis.audit.kernels import make_windows
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError, UnknownNameError
from scd_analysis.subjects import kernel
from tests.statistics import ledger

L, V, B = 3, 5, 200
WINDOWS = make_windows(np.random.default_rng(0), B, L, V)


def verify_one(drafts, draft_probs, target_probs, uniforms):
    """One window in plain Python; the last uniform draws what follows the accepted drafts."""
    out = []
    for k, token in enumerate(drafts):
        p, q = target_probs[k], draft_probs[k]
        if uniforms[k] * q[token] >= p[token]:
            rest = np.maximum(p - q, 0)
            return [*out, pick(rest if rest.sum() > 0 else p, uniforms[-1])], k
        out.append(int(token))
    return ([*out, pick(target_probs[len(drafts)], uniforms[-1])] if len(target_probs) > len(drafts) else out), len(out)


def pick(weights, uniform):
    upto = np.cumsum(weights, dtype=np.float64)
    return int(min((upto <= uniform * upto[-1]).sum(), np.flatnonzero(weights)[-1]))


def plain(draft_tokens, draft_probs, target_probs, uniforms):
    """A batch of windows: lists of committed tokens, and numbers of accepted drafts."""
    rows = [verify_one(*(np.asarray(x) for x in row))
            for row in zip(draft_tokens, draft_probs, target_probs, uniforms, strict=True)]  # fmt: skip
    return [row[0] for row in rows], np.array([row[1] for row in rows])


def with_padding(lists, placeholder=-1, width=L + 1):
    return np.array([row + [placeholder] * (width - len(row)) for row in lists])


def mask(accepted, later=1):
    """Flags of each draft, with anything behind the first rejection."""
    place = np.arange(L)
    return np.where(place < accepted[:, None], 1, np.where(place == accepted[:, None], 0, later)).astype(bool)


def replacements(lists, accepted, width):
    """One a position; those that do not count are wrong on purpose."""
    out = np.full((B, width), V - 1)
    for i, row in enumerate(lists):
        if accepted[i] < width:
            out[i, accepted[i]] = row[accepted[i]] if accepted[i] < len(row) else 0
    return out


def last(lists):
    return np.array([row[-1] for row in lists])


FORMS = {
    "tokens+counts": lambda rows, n: (with_padding(rows), np.array([len(row) for row in rows])),
    "tokens+accepted": lambda rows, n: (torch.tensor(with_padding(rows, 0)), torch.tensor(n)),
    "tokens+accepted, mask": lambda rows, n: (with_padding(rows, 3), mask(n)),
    "padded": lambda rows, n: with_padding(rows),
    "padded, others too": lambda rows, n: (with_padding(rows), n, n),
    "padded, own placeholder": lambda rows, n: with_padding(rows, 99),
    "accepted+bonus": lambda rows, n: (n, last(rows)),
    "accepted+bonus, column": lambda rows, n: (mask(n, 0), last(rows)[:, None]),
    "accepted+bonus, one a position": lambda rows, n: (n, replacements(rows, n, L + 1)),
    "accepted+bonus, apart": lambda rows, n: (mask(n), replacements(rows, n, L), last(rows)[:, None]),
    "list": lambda rows, n: rows,
    "list, of tensors": lambda rows, n: [torch.tensor(row) for row in rows],
}


def verified(subject, seed=5):
    return subject.verify_window(*WINDOWS, seed)


@pytest.fixture(scope="module")
def expected():
    emitted, accepted = verified(reference())
    assert set(accepted) == set(range(L + 1))  # every case occurs
    return emitted, accepted


def reference():
    def function(draft_tokens, draft_probs, target_probs, uniforms):
        rows, n = plain(draft_tokens, draft_probs, target_probs, uniforms)
        return with_padding(rows), n + 1

    return kernel(function, vocab_size=V, window=L)


def same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("form", FORMS)
def test_every_output_reads_the_same(form, expected):
    def function(draft_tokens, draft_probs, target_probs, uniforms):
        return FORMS[form](*plain(draft_tokens, draft_probs, target_probs, uniforms))

    placeholder = 99 if "own" in form else -1
    subject = kernel(function, output=form.split(",")[0], vocab_size=V, window=L, placeholder=placeholder)
    same(verified(subject), expected)


def by_other_names(target_logits, draft_token_ids, *, uniform_samples, draft_prob, temperature=1.0):
    assert temperature == 1.0
    return plain(draft_token_ids, draft_prob, torch.as_tensor(target_logits).exp(), uniform_samples)[0]


def bare(q, x, u, p):
    return plain(x, q, p, u)[0]


ARGUMENTS = {
    "names": (by_other_names, None),
    "roles in order": (bare, ("draft_probs", "draft_tokens", "uniforms", "target_probs")),
    "parameter to role": (bare, {"p": "target_probs", "q": "draft_probs", "u": "uniforms", "x": "draft_tokens"}),
}


@pytest.mark.parametrize("numpy", [False, True], ids=["tensors", "arrays"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_order_of_arguments_reads_the_same(name, numpy, expected):
    function, arguments = ARGUMENTS[name]
    subject = kernel(function, arguments=arguments, output="list", vocab_size=V, window=L, numpy=numpy)
    emitted, accepted = verified(subject)
    if name == "names":  # exp of a float32 logarithm: a uniform next to a threshold may fall on its other side
        assert (emitted == expected[0]).all(axis=1).mean() > 0.98
    else:
        same((emitted, accepted), expected)


@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_windows_at_a_time(batch_size, expected):
    sizes = []

    def function(draft_tokens, draft_probs, target_probs, uniforms):
        sizes.append(len(draft_tokens))
        return plain(draft_tokens, draft_probs, target_probs, uniforms)[0]

    same(verified(kernel(function, output="list", vocab_size=V, window=L, batch_size=batch_size)), expected)
    assert max(sizes) == (batch_size or B)


@pytest.mark.parametrize("output", ["list", "tokens+accepted", "padded"])
def test_a_function_without_a_batch_dimension(output, expected):
    def function(draft_tokens, draft_probs, target_probs, uniforms):
        assert draft_tokens.shape == (L,)
        row, n = verify_one(*(np.asarray(x) for x in (draft_tokens, draft_probs, target_probs, uniforms)))
        whole = np.array(row + [-1] * (L + 1 - len(row)))
        return {"list": row, "tokens+accepted": (torch.tensor(whole), n), "padded": whole}[output]

    same(verified(kernel(function, output=output, vocab_size=V, window=L, batch_size=0)), expected)


def test_a_function_without_bonus_tokens(expected):
    """It is given L rows, and a window accepted whole commits its L tokens."""

    def function(draft_tokens, draft_probs, target_probs, uniforms):
        assert target_probs.shape == (B, L, V)
        return FORMS[form](*plain(draft_tokens, draft_probs, target_probs, uniforms))

    counts, whole = expected[1] + 1, expected[1] == L
    short = np.where(whole[:, None] & (np.arange(L + 1) == L), -1, expected[0])
    for form in ("tokens+counts", "tokens+accepted", "padded", "accepted+bonus, one a position", "list"):
        subject = kernel(function, output=form.split(",")[0], vocab_size=V, window=L, bonus=False)
        emitted, accepted = verified(subject)
        np.testing.assert_array_equal(accepted, counts - 1)
        np.testing.assert_array_equal(emitted, short)


def test_a_function_that_is_handed_its_bonus_tokens():
    def function(target_with_bonus_probs, bonus_token_ids, draft_probs, draft_token_ids, uniforms):
        assert bonus_token_ids.shape == (B, 1)
        rows, n = plain(draft_token_ids, draft_probs, target_with_bonus_probs[:, :L], uniforms)
        rows = [row + ([int(bonus_token_ids[i, 0])] if n[i] == L else []) for i, row in enumerate(rows)]
        return with_padding(rows)

    emitted, accepted = verified(kernel(function, output="padded", vocab_size=V, window=L))
    bonus = emitted[accepted == L, L]
    assert (np.take_along_axis(WINDOWS[2][accepted == L, L], bonus[:, None], axis=1) > 0).all()


def test_generators_repeat_themselves_and_global_ones_are_put_back():
    def function(draft_tokens, draft_probs, target_probs):
        whole = torch.multinomial(target_probs.flatten(0, 1), 1).view(B, L + 1)  # from the global generator
        return whole, torch.full((B,), L + 1)

    subject, before = kernel(function, vocab_size=V, window=L), torch.get_rng_state()
    first, second, other = verified(subject, 1), verified(subject, 1), verified(subject, 2)
    same(first, second)
    assert (first[0] != other[0]).any()
    assert (torch.get_rng_state() == before).all()


COUNTS = np.full(B, L + 1)
WRONG = [
    (lambda x, **_: x, {}, "parameter 'x' of <lambda>.* could be anything; say what it takes"),
    (lambda draft, draft_ids: 0, {}, "two parameters take draft_tokens"),
    (bare, {"arguments": ("draft_tokens", "q")}, "arguments: role='q' is not known; known: draft_tokens"),
    (bare, {"arguments": "draft_tokens"}, "roles in order, or parameter to role"),
    (plain, {"output": "tuple"}, r"output='tuple' is not known; known: tokens\+counts"),
    (plain, {"batch_size": -1}, "batch_size = -1"),
    (lambda *a: with_padding(plain(a[0], a[1], a[2], np.zeros((B, L + 1)))[0]), {},
     r"expected \(tokens, counts\).*got ndarray; other conventions are output='tokens\+counts'"),
    (lambda *a: (np.zeros((B, L + 1)), COUNTS * 0), {}, r"counts\[0\] = 0.*output='tokens\+accepted'"),
    (lambda *a: (np.zeros((B, L + 1)), COUNTS), {"output": "tokens+accepted"},
     r"accepted\[0\] = 4: must lie between 0 and 3; .*output='tokens\+counts'"),
    (lambda *a: (np.zeros((B, L)), COUNTS - 1), {"output": "tokens+accepted"}, "pass bonus=False"),
    (lambda *a: (np.zeros((B, L + 1)), np.full((B, L), 2)), {"output": "tokens+accepted"}, "a mask holds 0 and 1 only"),
    (lambda *a: (COUNTS - 1, np.zeros((B, L))), {"output": "accepted+bonus"}, "window 0 was accepted whole"),
    (lambda *a: np.zeros((B, L)), {"output": "padded", "placeholder": 0}, "placeholder = 0: is a token"),
    (lambda *a: np.tile([-1, 0, 0], (B, 1)), {"output": "padded"}, "a token comes after the placeholder"),
    (lambda *a: np.zeros((B, L + 1)), {"output": "padded", "bonus": False}, "4 tokens of a window that commits 3"),
    (lambda *a: np.zeros((B, L + 1)), {"output": "padded"}, "none of 200 rows ends with the placeholder -1"),
    (lambda *a: (a[0], np.full(B, L)), {}, "window 0 commits its 3 drafts and no bonus token, .* pass bonus=False"),
    (lambda *a: [[0]] * 3, {"output": "list"}, f"expected a list of {B} lists to be returned, got 3"),
    (lambda *a: [[]] * B, {"output": "list"}, r"list 0 has shape \(0,\): 1 to 4 tokens"),
    (lambda *a: [[0] * 5] * B, {"output": "list"}, r"list 0 has shape \(5,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "options", "words"), WRONG)
def test_what_is_unclear_is_said(function, options, words):
    with pytest.raises(InputError, match=words):
        verified(kernel(function, vocab_size=V, window=L, **options))


def test_unknown_names_are_of_their_own_kind():
    with pytest.raises(UnknownNameError):
        kernel(bare, arguments=("p",))
    with pytest.raises(UnknownNameError):
        kernel(plain, output="p")


STANDS = ledger("kernel conventions: a right function is not refuted at 1e-7", 2e-7)
FINDS = ledger("kernel conventions: a wrong residual is refuted and named", 1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("bonus", [True, False])
def test_verdicts_do_not_depend_on_the_form(bonus):
    def function(target_logits, drafts, draft_logits, rng, slip=False):
        uniforms = torch.rand(len(drafts), L + 1, generator=rng)
        p, q = target_logits.exp(), draft_logits.exp()
        rows, n = plain(drafts, q, p, uniforms)
        if slip:  # a rejection draws from the target
            for i in np.flatnonzero(n < L):
                rows[i][-1] = pick(np.asarray(p[i, n[i]]), float(uniforms[i, -1]))
        return rows

    options = {"output": "list", "vocab_size": V, "window": L, "bonus": bonus}
    good = audit(kernel(function, **options), alpha=1e-7, max_sequences=600, progress=False)
    assert good.outcome is not Outcome.REFUTED
    assert good.record["path"]["taken"] == "sequential"

    def slipped(target_logits, drafts, draft_logits, rng):
        return function(target_logits, drafts, draft_logits, rng, slip=True)

    bad = audit(kernel(slipped, **options), alpha=1e-7, max_sequences=3_000, progress=False)
    assert bad.outcome is Outcome.REFUTED
    assert bad.condition is Condition.VERIFICATION
