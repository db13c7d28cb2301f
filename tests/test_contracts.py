"""What a stranger hands in: what it must have is asked for, and what it may have besides is found or absent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from scd_analysis import Outcome, audit, subjects
from scd_analysis.contracts import Kernel, Subject, TargetModel, as_drawn, as_kernel, as_model, as_subject
from scd_analysis.errors import InputError
from tests.audit.test_kernels import verify
from tests.evidence.decoders import random_tables

MODEL: TargetModel = random_tables(3, 4, 0.8, np.random.default_rng(3))
SUBJECT: Subject = subjects.ancestral
WHOLE: Kernel = subjects.kernel(verify)
"""The types say that these keep the contracts: mypy checks them."""


class Bare:
    """A kernel of its own with what it must have, and no more."""

    vocab_size, window = WHOLE.vocab_size, WHOLE.window

    def __init__(self, kernel: Kernel) -> None:
        self.verify_window = kernel.verify_window


def test_what_a_model_may_have_is_found_or_absent() -> None:
    with_more = SimpleNamespace(vocab_size=3, num_tokens=6, next_token_probs=MODEL.next_token_probs, grid=(2, 3))
    assert as_model(MODEL).grid_width is None
    assert as_model(with_more).grid_width == 3
    with_more.grid_width = 2
    assert as_model(with_more).grid_width == 2
    del with_more.next_token_probs
    with pytest.raises(InputError, match=r"model\.next_token_probs is not a method"):
        as_model(with_more)


def test_what_a_subject_may_have_is_found_or_absent() -> None:
    found = as_subject(SUBJECT)
    assert (found.is_kernel, found.is_tree, found.target_model, found.num_available) == (False, False, None, None)
    assert (found.vocab_size, found.num_tokens, found.lacking()) == (None, None, ())
    stored = as_subject(SimpleNamespace(num_available=7, vocab_size=3, num_tokens=4, target_model=MODEL))
    assert (stored.target_model, stored.num_available) == (MODEL, 7)
    assert (stored.vocab_size, stored.num_tokens) == (3, 4)
    assert as_subject(SimpleNamespace(verify_tree=len)).is_tree
    assert as_subject(SimpleNamespace(lacking=lambda: ("drafts",))).lacking() == ("drafts",)
    assert as_subject(WHOLE).is_kernel
    with pytest.raises(InputError, match=r"subject\.num_available = 'many'"):
        as_subject(SimpleNamespace(num_available="many"))


@pytest.mark.slow
def test_a_kernel_with_nothing_more_is_judged() -> None:
    """Its drafts are draws from its laws, and its targets are what it was handed."""
    found, laws = as_kernel(Bare(WHOLE)), np.ones((1, 5, 6)) / 6
    assert not found.point_mass
    assert found.processed(laws) is laws
    assert audit(Bare(WHOLE), max_sequences=256, progress=False).outcome is not Outcome.REFUTED
    wrong = subjects.kernel(lambda *given: verify(*given, slip="target"))
    assert audit(Bare(wrong), max_sequences=4_000, progress=False).outcome is Outcome.REFUTED


@pytest.mark.parametrize(
    ("change", "words"),
    [({"vocab_size": 1}, "subject.vocab_size = 1: must be at least 2"), ({"window": None}, "subject.window = None")],
)
def test_a_kernel_that_lacks_something_is_told(change: dict[str, Any], words: str) -> None:
    kernel = Bare(WHOLE)
    vars(kernel).update(change)
    with pytest.raises(InputError, match=words):
        audit(kernel, max_sequences=64, progress=False)


def test_what_a_subject_returns_is_read_once() -> None:
    tokens = np.zeros((2, 4), dtype=np.int64)
    assert as_drawn(tokens) is tokens  # an array has a method of the name trace
    assert as_drawn(SimpleNamespace(tokens=tokens)) is tokens
    trace = xr.Dataset({"tokens": (("sequence", "position"), np.zeros((2, 4)))})
    assert as_drawn(SimpleNamespace(tokens=tokens, trace=trace)) is trace
    assert as_drawn(trace) is trace
