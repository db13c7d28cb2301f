"""Decoders that are watched and not changed: what is recorded, what is said of it, and what is refused."""

import contextlib
import sys

import pytest
import torch

import scd_analysis
from reference import TabularModel
from scd_analysis import Outcome, TraceWriter, audit, open_trace, watch
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from tests.decoders import released_loops
from tests.statistics import ledger

STANDS = ledger("watched loops: exact ones are not refuted at 1e-8", 2e-8)
MODEL = TabularModel.random(vocab_size=4, num_tokens=5, concentration=0.7, seed=0)
ONE = {
    "at": "out = torch.cat([out", "base": "len(out)", "draft_token": "x", "next_token": "after", "num_accepted": "n",
    "draft_probs": "q", "target_probs": "p", "tokens": "result",
}  # fmt: skip
BATCH = ONE | {
    "at": "# the pass is over", "base": "start", "next_token": "y", "accepted": "ok", "num_accepted": None
}  # fmt: skip


def noise(seed):
    return torch.Generator().manual_seed(seed)


def watched(function, words, decode, laws=True):
    words = {name: said for name, said in words.items() if said is not None}
    with (
        TraceWriter(vocab_size=4, num_tokens=5, window=3, decoder="theirs", laws=laws) as trace,
        watch(function, trace, **words) as seen,
    ):
        decode()
    return open_trace(trace.store), seen


def one_by_one(model, num_sequences, seed, **slip):
    def decode():
        for i in range(num_sequences):
            released_loops.one_sequence(model, noise(seed + i), **slip)

    return watched(released_loops.one_sequence, ONE, decode)[0]


def together(model, num_sequences, seed, **slip):
    return watched(
        released_loops.batch, BATCH, lambda: released_loops.batch(model, num_sequences, noise(seed), **slip)
    )[0]


def test_what_is_recorded_is_what_the_function_did():
    trace = one_by_one(MODEL, 5, 7)
    tokens = [released_loops.one_sequence(MODEL, noise(7 + i)) for i in range(5)]
    assert trace["tokens"].values.astype(int).tolist() == torch.stack(tokens).tolist()
    batch = together(MODEL, 5, 7)
    assert batch["tokens"].values.astype(int).tolist() == released_loops.batch(MODEL, 5, noise(7)).tolist()
    assert trace.attrs["complete"]
    assert batch.attrs["complete"]


@pytest.mark.slow
@pytest.mark.parametrize("subject", [one_by_one, together])
def test_an_exact_loop_stands(subject):
    verdict = audit(subject, MODEL, alpha=1e-8, max_sequences=64, rule="mrs", resolution=0.45, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subject", "slip", "condition"),
    [(one_by_one, "stale", Condition.DECLARED_LAW), (together, "from_target", Condition.VERIFICATION)],
)
def test_a_slip_in_the_same_loop_is_found(subject, slip, condition):
    verdict = audit(
        lambda model, n, seed: subject(model, n, seed, **{slip: True}), MODEL, max_sequences=600, rule="mrs",
        progress=False,
    )  # fmt: skip
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is condition


def overwrites(drafts, final):
    """Commits all drafts of a pass but the last, which it replaces, and overwrites what a record needs."""
    done = 0
    while done < len(final):
        x = list(drafts[done : done + 3])
        kept, base = len(x) - 1, done
        y = [*x[:kept], final[done + kept]]
        done += max(
            len(y),
            base - base,
        )
        x = kept = None
    return final, x, kept


def test_what_is_overwritten_is_read_before():
    words = {"at": "x = kept = None", "base": "base", "draft_token": ("x", "y = [*x"), "next_token": "y"}
    words |= {"num_accepted": ("kept", "y = [*x"), "tokens": "result[0]"}
    trace, seen = watched(overwrites, words, lambda: overwrites([1, 2, 3, 0, 1], [1, 2, 0, 0, 2]), laws=False)
    assert seen.num_passes == 2
    assert trace["draft_token"].values[0, 0].tolist() == [1, 2, 3]
    assert trace["base"].values[0].tolist() == [0, 3]


def test_a_statement_of_several_lines_is_one_pass():
    words = {"at": "done += max(", "base": "base", "draft_token": "x", "next_token": "y", "num_accepted": "kept"}
    _, seen = watched(overwrites, words, lambda: overwrites([1, 2, 3, 0, 1], [1, 2, 0, 0, 2]), laws=False)
    assert seen.num_passes == 2


def test_next_drafts_that_are_not_given_are_those_of_the_pass_after():
    def short(drafts, final):
        for base in range(len(final)):
            x, y, kept = drafts[base : base + 3], [final[base]], 0
            x = x if base < 9 else None
        return x, y, kept

    words = {"at": "x = x if", "base": "base", "draft_token": "x", "next_token": "y", "num_accepted": "kept"}
    trace, _ = watched(short, words, lambda: short([1, 2, 3, 0, 1], [0, 3, 2, 1, 0]), laws=False)
    assert trace["next_token"].values[0, 0].tolist() == [0, 2, 3]


def test_the_tracer_that_was_there_is_put_back():
    def mine(frame, event, argument):
        return None

    before = sys.gettrace()
    try:
        sys.settrace(mine)
        one_by_one(MODEL, 1, 0)
        assert sys.gettrace() is mine
        with pytest.raises(ZeroDivisionError):
            watched(released_loops.one_sequence, ONE, lambda: 1 / 0)
        assert sys.gettrace() is mine
    finally:
        sys.settrace(before)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"at": "n = "}, "lines .* of one_sequence have it; pass more of the line, or its number"),
        ({"at": "nothing like it"}, "no line of one_sequence has it"),
        ({"at": 1}, "at = 1: one_sequence has lines"),
        ({"at": 2.5}, "a line by its number or by a piece of its text"),
        ({"base": "start"}, "base = 'start': 'start' is not a local variable of one_sequence, which has model, gen"),
        ({"base": "len(out"}, "base = 'len.out': no expression"),
        ({"base": 3}, "base = 3: a local variable by its name"),
        ({"draft_tokens": "x"}, "draft_tokens: not a variable of a trace; known: num_accepted"),
        ({"next_token": None}, "next_token: not given"),
        ({"accepted": "kept"}, "accepted: given, and num_accepted too"),
        ({"base": ("out",)}, "an expression, or a pair of one and a statement"),
    ],
)
def test_what_is_said_is_checked_before_anything_runs(words, what):
    said = {name: word for name, word in (ONE | words).items() if word is not None}
    with TraceWriter(vocab_size=4, num_tokens=5, window=3, decoder="x") as trace, pytest.raises(InputError, match=what):
        watch(released_loops.one_sequence, trace, **said)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"at": "out = torch.zeros"}, r"base \('len\(out\)' at line \d+ of one_sequence\): NameError"),
        ({"draft_token": "q"}, "draft_token has shape .*: expected .*L. of one sequence or"),
        ({"target_probs": "p[:, 1:]"}, r"target_probs has shape \(3, 3\): expected \(3, 4\), as draft_token has it"),
        ({"base": "out"}, r"base has shape \(0,\): expected \(\)"),
        ({"draft_probs": "q * 2"}, r"watch: draft_probs\[0, 0\] sums to 2.*; read as draft_probs \('q \* 2' at"),
        ({"draft_token": "x + 4"}, "watch: draft_token.*not a token of a vocabulary of 4.*read as draft_token"),
    ],
)
def test_what_has_no_value_or_another_shape_is_named(words, what):
    with pytest.raises(InputError, match=what):
        watched(released_loops.one_sequence, ONE | words, lambda: released_loops.one_sequence(MODEL, noise(0)))


def swallows():
    with contextlib.suppress(ValueError):
        released_loops.one_sequence(MODEL, noise(0))


@pytest.mark.parametrize(
    ("decode", "words", "what"),
    [
        (lambda: None, {}, "one_sequence was never called; a function that is compiled"),
        (swallows, {"base": "out"}, "base has shape"),
        (lambda: sys.settrace(None), {}, "another tracer .* took this one's place"),
    ],
)
def test_what_was_not_seen_is_an_error(decode, words, what):
    with pytest.raises(InputError, match=what):
        watched(released_loops.one_sequence, ONE | words, decode)


def sometimes(final):
    x, y, kept, base = final, final, 0, 0
    if final[0]:
        kept = len(x)
    return y, kept, base


def test_a_line_that_was_not_reached_is_an_error():
    words = {"at": "kept = len(x)", "base": "base", "draft_token": "x", "next_token": "y", "num_accepted": "kept"}
    with pytest.raises(InputError, match=r"line \d+ of sometimes was never reached"):
        watched(sometimes, words, lambda: sometimes([0, 0]))
    with pytest.raises(InputError, match=r"in call 1 of sometimes, line \d+ was never reached"):
        watched(sometimes, words, lambda: [sometimes([1, 1]), sometimes([0, 0])])


@pytest.mark.parametrize("function", [len, int, TraceWriter, 3])
def test_what_has_no_python_code_cannot_be_watched(function):
    with TraceWriter(vocab_size=4, num_tokens=5, window=3, decoder="x") as trace:
        with pytest.raises(InputError, match="has no Python code to be watched"):
            watch(function, trace, **ONE)
        with pytest.raises(InputError, match="expected a TraceWriter"):
            watch(released_loops.one_sequence, None, **ONE)


def test_it_is_at_hand():
    assert scd_analysis.watch is watch
