"""The subjects of the net, by name; each makes its verdict at a fixed seed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import reference
import reference.subjects
from reference.broken import faults
from reference.methods import METHODS, coupling_mixture
from scd_analysis import audit, subjects
from scd_analysis.audit.verdict import Verdict
from tests.audit.test_kernels import verify
from tests.audit.test_traces import MODEL as TABULAR

SUBJECTS: dict[str, Callable[[], Verdict]] = {}


def _add(name: str, make: Callable[[], Verdict]) -> None:
    assert name not in SUBJECTS, name
    SUBJECTS[name] = make


def _judged(subject: Any, model: Any, max_sequences: int | None, **options: Any) -> Verdict:
    return audit(subject, model, max_sequences=max_sequences, seed=7, progress=False, **options)


def _traced(method: Any, record: str, *drop: str) -> Callable[[Any, int, int], Any]:
    def subject(model: Any, num_sequences: int, seed: int) -> Any:
        trace = reference.decode(model, method, 3, num_sequences, seed, record, progress=False).trace
        return trace.assign({name: trace[name].where(False) for name in drop})

    return subject


def _of_methods() -> None:
    methods = [*METHODS, coupling_mixture("scd-mc", 0.5), coupling_mixture("scd-gs", 0.5)]
    for method in methods:
        name = method if isinstance(method, str) else method.name
        tokens = reference.subjects.subject(method, 3)
        model = greedy if name == "jacobi" else TABULAR
        _add(f"tokens {name}", lambda subject=tokens, model=model: _judged(subject, model, 300))
        if name != "ar":
            traced = _traced(method, "laws")
            _add(f"trace {name}", lambda subject=traced, model=model: _judged(subject, model, 96))


class _Greedy:
    """The tabular model with every law replaced by the point mass on its most probable token."""

    vocab_size, num_tokens = TABULAR.vocab_size, TABULAR.num_tokens

    def next_token_probs(self, tokens: torch.Tensor) -> torch.Tensor:
        laws = TABULAR.next_token_probs(tokens)
        return torch.nn.functional.one_hot(laws.argmax(-1), laws.shape[-1]).to(laws.dtype)


greedy = _Greedy()


def _of_faults() -> None:
    for name, fault in faults().items():
        _add(
            f"fault {name}",
            lambda fault=fault: _judged(fault.traced(fault.window), fault.model(), 64),
        )


GRADES: dict[str, tuple[str, tuple[str, ...]]] = {
    "scalars": ("scalars", ()),
    "float16": ("laws-float16", ()),
    "top-2": ("laws-top-2", ()),
    "without variates": ("laws", ("uniform",)),
    "tokens and flags": (
        "scalars",
        ("uniform", "draft_prob_of_token", "target_prob_of_token", "total_variation", "collision_independent"),
    ),
}


def _of_grades() -> None:
    for grade, (record, drop) in GRADES.items():
        for method in ("scd-gs", "sjd-vp-uncorrected"):
            subject = _traced(method, record, *drop)
            _add(f"trace of {grade}, {method}", lambda subject=subject: _judged(subject, TABULAR, 96))
    _add("trace without a model, scd-mc", lambda: _judged(subjects.trace(_stored("scd-mc")), None, None))
    _add(
        "trace without a model, sjd-vp-uncorrected",
        lambda: _judged(subjects.trace(_stored("sjd-vp-uncorrected")), None, None),
    )


@cache
def _stored(method: str) -> Any:
    return reference.decode(TABULAR, method, 3, 128, seed=5, record="laws", progress=False).trace


def _of_digits() -> None:
    for method in ("scd-mc", "sjd-vp-uncorrected"):
        tokens = reference.subjects.subject(method, 16)
        _add(f"digits, tokens {method}", lambda subject=tokens: _judged(subject, _digits(), 48))

    def traced(model: Any, num_sequences: int, seed: int) -> Any:
        return reference.decode(model, "scd-gs", 16, num_sequences, seed, "scalars", progress=False).trace

    _add("digits, trace scd-gs", lambda: _judged(traced, _digits(), 24))


@cache
def _digits() -> Any:
    return reference.load_model("digits")


def _as_form(form: str, slip: str) -> Callable[..., Any]:
    """The kernel of the tests in every form in which kernels return what they commit."""

    def kernel(draft_tokens: Any, draft_probs: Any, target_probs: Any, generator: Any) -> Any:
        tokens, counts = verify(draft_tokens, draft_probs, target_probs, generator, slip=slip or None)
        inside = torch.arange(tokens.shape[1]) < counts[:, None]
        return {
            "tokens+counts": lambda: (tokens, counts),
            "tokens+accepted": lambda: (tokens, counts - 1),
            "padded": lambda: torch.where(inside, tokens, -1),
            "accepted+bonus": lambda: (counts - 1, tokens.gather(1, counts[:, None] - 1)[:, 0]),
            "list": lambda: [row[:count].tolist() for row, count in zip(tokens, counts, strict=True)],
        }[form]()

    return kernel


def _of_kernels() -> None:
    for form in ("tokens+counts", "tokens+accepted", "padded", "accepted+bonus", "list"):
        for slip in ("", "target"):
            subject = subjects.kernel(_as_form(form, slip), output=form)
            label = f"kernel {form}" + (", replaced from the target" if slip else "")
            _add(label, lambda subject=subject: _judged(subject, None, 250))


@cache
def _sequences() -> tuple[list[list[int]], list[list[list[float]]]]:
    tokens = reference.decode(TABULAR, "ar", 1, 400, seed=3, progress=False).tokens
    laws = TABULAR.next_token_probs(tokens[:, :-1])
    return tokens.tolist(), laws.log().tolist()


def _recorded(name: str, tokens: list[list[int]], laws: list[list[list[float]]]) -> None:
    def make() -> Verdict:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.jsonl"
            rows = zip(tokens, laws, strict=True)
            path.write_text("\n".join(json.dumps({"tokens": own, "logprobs": law}) for own, law in rows))
            return _judged(path, None, None)

    _add(name, make)


def _of_files() -> None:
    tokens, laws = _sequences()
    _recorded("recorded file with its laws", tokens, laws)
    flat = np.asarray(laws) * 0.5
    _recorded("recorded file with flatter laws", tokens, (flat - np.logaddexp.reduce(flat, -1, keepdims=True)).tolist())


def _of_generate() -> None:
    from studies.audit_transformers import PROMPT, tiny_llama

    def make(**options: Any) -> Verdict:
        call = {"input_ids": PROMPT, "do_sample": True, "max_new_tokens": 5, **options}
        return _judged(subjects.generate(tiny_llama(0), tiny_llama(1), **call), None, 16)

    _add("generate with an assistant", make)
    _add("generate with a mixture of two models", lambda: make(assistant_ensemble_weight=0.1))


for _part in (_of_methods, _of_faults, _of_grades, _of_digits, _of_kernels, _of_files, _of_generate):
    _part()
