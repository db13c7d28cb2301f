"""Every way in which a subject or model may end, but for a return: an ``InputError``, and nobody's exit status."""

import asyncio
import subprocess
import sys

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.audit.guard import guarded
from scd_analysis.errors import InputError
from scd_analysis.subjects import ancestral
from scd_analysis.testing import assert_lossless
from tests.audit.test_guard import TABLES, hangs
from tests.evidence.decoders import Tables


class Odd:
    def __init__(self, kind):
        self.kind = kind

    def _leave(self):
        raise self.kind

    tokens = property(_leave)
    trace = property(_leave)


class _UnreadableError(Exception):
    def __str__(self):
        raise SystemExit(0)


EXITS = [
    SystemExit(0),
    GeneratorExit(),
    asyncio.CancelledError(),
    StopIteration(),
    RecursionError(),
    MemoryError(),
    _UnreadableError(),
    pytest.fail.Exception("by it"),
    pytest.skip.Exception("by it"),
    pytest.exit.Exception("by it"),
]


@pytest.mark.parametrize("kind", EXITS, ids=lambda kind: type(kind).__name__)
def test_every_end_of_a_subject_is_an_input_error(kind):
    """Raised in the call, by an attribute of what it returns, by one of the subject's own, or by the model's."""

    def leaves(model, num_sequences, seed):
        raise kind

    for subject in (leaves, lambda model, num_sequences, seed: Odd(kind)):
        with pytest.raises(InputError, match=rf"subject\(model, 64, \d+\) raised {type(kind).__name__}"):
            audit(subject, TABLES, progress=False)
    with pytest.raises(InputError, match=f"raised {type(kind).__name__}"):
        assert_lossless(leaves, TABLES)

    class Model(Tables):
        def next_token_probs(self, tokens):
            raise kind

    with pytest.raises(InputError, match=rf"model.next_token_probs\(.*\) raised {type(kind).__name__}"):
        audit(ancestral, Model(TABLES.rows), progress=False)
    if isinstance(kind, Exception):
        return

    class Unsaid:
        num_tokens = 3
        vocab_size = Odd.tokens
        _leave, kind = Odd._leave, None

    Unsaid.kind = kind
    with pytest.raises(InputError, match=f"model.vocab_size raised {type(kind).__name__}"):
        audit(ancestral, Unsaid(), progress=False)


def test_guarded_calls_may_be_nested():
    def inner():
        return guarded("inner", lambda: hangs(0, 0, 0))

    with pytest.raises(InputError, match=r"^outer did not return within 0.2 s$"):
        guarded("outer", inner, timeout=0.2)
    assert guarded("outer", lambda: guarded("inner", lambda: 5, timeout=3), timeout=5) == 5


def test_errors_of_numpy_that_a_subject_asks_for_are_its_own():
    def careful(model, num_sequences, seed):
        np.seterr(all="raise")
        return ancestral(model, num_sequences, seed)

    before = np.geterr()
    assert audit(careful, TABLES, max_sequences=64, progress=False).outcome is Outcome.INCONCLUSIVE
    assert np.geterr() == before


@pytest.mark.slow
def test_a_time_limit_leaves_the_interpreter_as_it_was():
    """An interruption was taken back, which CPython goes on looking for: shrinking examples did not end any more."""
    code = """
from hypothesis import find, settings, strategies
from scd_analysis.audit.guard import guarded
guarded("f", int, 5.0)
pairs = strategies.lists(strategies.floats(0, 1), min_size=2)
settings = settings(derandomize=True, database=None, deadline=None, max_examples=300)
print(find(pairs, lambda pair: pair[0] > pair[1] > 0, settings=settings))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[1.0, 0.5]\n", done.stderr
