"""Everything that can be wrong with model, subject or argument is said in one line that names it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from scd_analysis import audit
from scd_analysis.errors import CausalityError, InputError, LawError, UnknownNameError
from scd_analysis.subjects import ancestral, recorded, resolve
from tests.evidence.decoders import Tables, random_tables

TABLES = random_tables(3, 4, 0.8, np.random.default_rng(3))


@dataclass
class Altered:
    """A right model, and what somebody made of it."""

    kind: str = "right"
    vocab_size: Any = 3
    num_tokens: Any = 4
    calls: list[int] = field(default_factory=list)

    def next_token_probs(self, tokens: Any) -> Any:
        tokens = np.asarray(tokens)
        laws = TABLES.laws(tokens)
        self.calls.append(len(tokens))
        if self.kind == "nan":
            laws[1, 2, 0] = np.nan
        if self.kind == "negative":
            laws[0, 0] = [1.5, -0.5, 0]
        if self.kind == "sum":
            laws[0, 1, 1] += 0.01
        if self.kind == "row":
            laws = laws[:, 1:]
        if self.kind == "sees its own token" and tokens.shape[1]:
            laws[:, : tokens.shape[1]] = 0.5 * laws[:, : tokens.shape[1]] + 0.5 * np.eye(3)[tokens]
        if self.kind == "sees the future" and tokens.shape[1] > 1:
            laws[:, 0] = 0.5 * laws[:, 0] + 0.5 * np.eye(3)[tokens[:, -1]]
        if self.kind == "sees its batch":
            laws[:] = 0.9 * laws + 0.1 * laws.mean(axis=0)
        if self.kind == "wanders":
            laws = 0.9 * laws + 0.1 * np.eye(3)[len(self.calls) % 3]
        if self.kind == "wanders later" and len(self.calls) > 9:
            laws = 0.9 * laws + 0.1 * np.eye(3)[0]
        return laws


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("nan", LawError, r"next_token_probs\(\.\.\.\)\[1, 2, 0\] = nan"),
        ("negative", LawError, r"\[0, 0, 1\] = -0.5"),
        ("sum", LawError, r"\[0, 1\] sums to 1.01"),
        ("row", InputError, r"has shape \(4, 3, 3\): expected \(4, 4, 3\)"),
        ("sees its own token", CausalityError, "changes with tokens at position"),
        ("sees the future", CausalityError, "changes with tokens at position"),
        ("sees its batch", CausalityError, "depends on the other sequences of the batch"),
        ("wanders", InputError, "changes from one call to the next"),
        ("wanders later", InputError, "changes from one call to the next"),
    ],
)
def test_bad_model(kind: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        audit(lambda model, n, seed: ancestral(TABLES, n, seed), Altered(kind), max_sequences=2_000)


@pytest.mark.slow
def test_right_model_passes() -> None:
    audit(lambda model, n, seed: ancestral(TABLES, n, seed), Altered(), max_sequences=2_000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vocab_size": 3.0}, "model.vocab_size = 3.0"),
        ({"num_tokens": 0}, "model.num_tokens = 0: must be at least 1"),
        ({"num_tokens": None}, "model.num_tokens = None"),
        ({"num_tokens": 10**9}, "model.num_tokens = 1000000000: must lie between 1 and"),
        ({"vocab_size": 10**30}, "model.vocab_size = 10+: must lie between 1 and"),
    ],
)
def test_model_without_sizes(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        audit(ancestral, Altered(**change))


class Hidden:
    """Whatever is asked of it raises."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            raise RuntimeError("not to be had")
        return getattr(TABLES, name)

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Any:
        return ancestral(TABLES, num_sequences, seed)


@pytest.mark.parametrize("name", ["vocab_size", "num_tokens", "next_token_probs", "grid_width", "grid"])
def test_what_a_model_raises_when_it_is_looked_at_is_told(name: str) -> None:
    with pytest.raises(InputError, match=f"model.{name} raised RuntimeError: not to be had"):
        audit(ancestral, Hidden(name))


@pytest.mark.parametrize("name", ["verify_window", "num_available", "target_model", "vocab_size"])
def test_what_a_subject_raises_when_it_is_looked_at_is_told(name: str) -> None:
    model = TABLES if name in ("verify_window", "num_available") else None
    with pytest.raises(InputError, match=f"subject.{name} raised RuntimeError: not to be had"):
        audit(Hidden(name), model, max_sequences=100)


def test_masked_entries_are_no_numbers() -> None:
    """What lies behind a mask may be anything; an array with a mask and nothing behind it is one as others."""

    def masked(model: Any, num_sequences: int, seed: int) -> Any:
        return np.ma.masked_array(ancestral(TABLES, num_sequences, seed), mask=seed_mask)

    seed_mask: Any = False
    audit(masked, TABLES, max_sequences=100)
    seed_mask = np.eye(64, 4)
    with pytest.raises(InputError, match="has masked entries"):
        audit(masked, TABLES, max_sequences=100)


def test_model_without_laws() -> None:
    with pytest.raises(InputError, match="next_token_probs is not a method"):
        audit(ancestral, type("Empty", (), {"vocab_size": 3, "num_tokens": 4})())


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda n: np.zeros((n - 1, 4), dtype=np.int64), r"has shape \(63, 4\): expected \(64, 4\)"),
        (lambda n: np.zeros((n, 3), dtype=np.int64), r"has shape \(64, 3\): expected \(64, 4\)"),
        (lambda n: np.zeros((n, 4)), "has dtype float64: tokens are integers"),
        (lambda n: np.full((n, 4), 3), r"\[0, 0\] = 3: not a token of a vocabulary of 3"),
        (lambda n: np.full((n, 4), -1), r"\[0, 0\] = -1"),
        (lambda n: [[0], [0, 1]], "is not an array of numbers"),
        (lambda n: None, "has shape"),
    ],
)
def test_bad_subject(returned: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        audit(lambda model, n, seed: returned(n), TABLES)


def test_subject_that_ignores_its_seed() -> None:
    with pytest.raises(InputError, match="begins with the same 64 sequences as with seed="):
        audit(lambda model, n, seed: ancestral(model, n, 0), TABLES)


def test_degenerate_model_may_repeat_itself() -> None:
    """The twin: where one sequence has all the mass, equal batches are right."""
    tables = Tables((np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [0.5, 0.5]])))
    audit(lambda model, n, seed: ancestral(model, n, 0), tables, max_sequences=500)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"alpha": 0.0}, "alpha = 0.0"),
        ({"alpha": 1.0}, "alpha = 1.0"),
        ({"alpha": float("nan")}, "alpha = nan"),
        ({"max_sequences": 0}, "max_sequences = 0: must be at least 1"),
        ({"resolution": 0.0}, "resolution = 0.0"),
        ({"timeout": float("inf")}, "timeout = inf: must lie between"),
        ({"timeout": 1e300}, r"timeout = 1e\+300: must lie between"),
        ({"resolution": "0.1"}, "resolution = '0.1': must be a number"),
        ({"tolerance": [0.1, 0.2]}, r"tolerance = \[0.1, 0.2\]: must be a number"),
        ({"timeout": np.array([1, 2])}, r"timeout = array\(\[1, 2\]\): must be a number"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        audit(ancestral, TABLES, **arguments)


def test_subject_that_cannot_be_called() -> None:
    with pytest.raises(InputError, match="subject = 'scd-mc'"):
        audit("scd-mc", TABLES)  # type: ignore[arg-type]


def test_subjects_by_name() -> None:
    assert resolve("scd_analysis.subjects:ancestral") is ancestral
    for name in (
        "ancestral",
        "no_such_module_here:x",
        "scd_analysis.subjects:no_such",
        "scd_analysis.version:__version__",
    ):
        with pytest.raises(UnknownNameError, match="subject="):
            resolve(name)


def test_recorded_sequences() -> None:
    with pytest.raises(InputError, match=r"tokens has shape \(3,\)"):
        recorded([0, 1, 2])
    subject = recorded(np.zeros((5, 4), dtype=np.int64))
    subject(TABLES, 3, 0)
    with pytest.raises(InputError, match="2 recorded sequences are left"):
        subject(TABLES, 3, 0)
