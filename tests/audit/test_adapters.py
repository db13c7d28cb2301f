"""One protocol for all adapters: every entry of the registry goes through the same checks, or the suite is red."""

import atexit
import inspect
import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reference import decode
from reference.broken import get_fault
from scd_analysis import Outcome, audit
from scd_analysis.audit.tree import TreeWindows
from scd_analysis.audit.trees import make_tables
from scd_analysis.contracts import as_subject, is_trace
from scd_analysis.errors import UnknownNameError
from scd_analysis.subjects import registry
from studies.audit_transformers import PROMPT, tiny_llama
from tests.audit.engine_modules import subject_of
from tests.audit.engine_server import Engine, served
from tests.audit.test_kernels import verify
from tests.audit.test_traces import MODEL as TABULAR
from tests.decoders.sjd_samplers import AsFirstReleased, MaximalCoupling
from tests.decoders.tree_rules import RIGHT, TREE, WRONG
from tests.evidence.decoders import Tables, random_tables
from tests.statistics import ledger

TABLES = random_tables(3, 4, 0.8, np.random.default_rng(3))
SHARP = Tables(tuple(row**2 / (row**2).sum(axis=1, keepdims=True) for row in TABLES.rows))
ancestral = registry.load("ancestral")


def file_of(tables: Tables, folder: Path) -> Path:
    """Sequences of one law with the log-probabilities of TABLES."""
    tokens = ancestral(tables, 600, 0)
    laws = np.log(TABLES.laws(tokens)[:, :4])
    path = folder / "run.jsonl"
    pairs = zip(tokens.tolist(), laws.tolist(), strict=True)
    path.write_text("\n".join(json.dumps({"tokens": own, "logprobs": law}) for own, law in pairs))
    return path


@dataclass(frozen=True)
class Example:
    """An adapter at work.

    Attributes
    ----------
    right, wrong : callable
        From a folder to a subject that samples from the target law, and to one that does not.
    model : TargetModel or None
        None where the subject needs none.
    draws : bool
        Whether it draws anew for every seed; else it hands out what is stored.
    """

    right: Callable[[Path], Any]
    wrong: Callable[[Path], Any]
    model: Any
    draws: bool = True


def load(name: str) -> Any:
    return registry.load(name)


@lru_cache
def llama(seed: int) -> Any:
    return tiny_llama(seed)


@lru_cache
def engine(fault: str | None) -> str:
    """The URL of a server that runs as long as the tests do."""
    return SERVERS.enter_context(served(Engine(TABLES, fault=fault)))


SERVERS = ExitStack()
atexit.register(SERVERS.close)
ASKED = {"prompt": [1, 2], "num_tokens": 4, "sampling": {"top_k": 2}}
REQUEST = {"choices": 16, **ASKED}
CALL = {"input_ids": PROMPT, "do_sample": True, "max_new_tokens": 5}

SLIP = "no-q: row of the parent"


def made_right():
    return lambda model, n, seed: ancestral(TABLES, n, seed)


def made_wrong():
    return lambda model, n, seed: ancestral(SHARP, n, seed)


EXAMPLES = {
    "ancestral": Example(
        lambda folder: ancestral, lambda folder: lambda model, n, seed: ancestral(SHARP, n, seed), TABLES
    ),
    "callable": Example(
        lambda folder: load("callable")(lambda n, seed: ancestral(TABLES, n, seed)),
        lambda folder: load("callable")(lambda n, seed: ancestral(SHARP, n, seed)),
        TABLES,
    ),
    "endpoint": Example(
        lambda folder: load("endpoint")(engine(None), target=TABLES, **REQUEST),
        lambda folder: load("endpoint")(engine("no-top-k"), target=TABLES, **REQUEST),
        None,
    ),
    "made_by": Example(
        lambda folder: load("made_by")(f"{__name__}:made_right"),
        lambda folder: load("made_by")(f"{__name__}:made_wrong"),
        TABLES,
    ),
    "generate": Example(
        lambda folder: load("generate")(llama(0), llama(1), **CALL),
        lambda folder: load("generate")(llama(0), llama(1), **CALL, assistant_ensemble_weight=0.1),
        None,
    ),
    "kernel": Example(
        lambda folder: load("kernel")(verify),
        lambda folder: load("kernel")(lambda *args: verify(*args, slip="target")),
        None,
    ),
    "openvino": Example(
        lambda folder: subject_of("openvino", Engine(TABLES), target=TABLES, **ASKED),
        lambda folder: subject_of("openvino", Engine(TABLES, fault="no-top-k"), target=TABLES, **ASKED),
        None,
    ),
    "onnx-genai": Example(
        lambda folder: subject_of("onnx-genai", Engine(TABLES), target=TABLES, **ASKED),
        lambda folder: subject_of("onnx-genai", Engine(TABLES, fault="no-top-k"), target=TABLES, **ASKED),
        None,
    ),
    "vllm": Example(
        lambda folder: subject_of("vllm", Engine(TABLES), target=TABLES, **ASKED),
        lambda folder: subject_of("vllm", Engine(TABLES, fault="no-top-k"), target=TABLES, **ASKED),
        None,
    ),
    "recorded": Example(
        lambda folder: load("recorded")(ancestral(TABLES, 600, 0)),
        lambda folder: load("recorded")(ancestral(SHARP, 600, 0)),
        TABLES,
        draws=False,
    ),
    "recorded-file": Example(
        lambda folder: load("recorded-file")(file_of(TABLES, folder)),
        lambda folder: load("recorded-file")(file_of(SHARP, folder)),
        None,
        draws=False,
    ),
    "sjd-sampler": Example(
        lambda folder: load("sjd-sampler")(MaximalCoupling, batch_size=None),
        lambda folder: load("sjd-sampler")(AsFirstReleased, batch_size=None),
        None,
    ),
    "tree-kernel": Example(
        lambda folder: load("tree-kernel")(RIGHT["no q"][0], TREE, "no-q", output="list", numpy=True),
        lambda folder: load("tree-kernel")(WRONG[SLIP][0], TREE, "no-q", output="list", numpy=True),
        None,
    ),
    "trace": Example(
        lambda folder: load("trace")(decode(TABULAR, "scd-mc", 3, 400, seed=2, record="laws").trace),
        lambda folder: load("trace")(get_fault("lenient-acceptance").traced(3)(TABULAR, 600, 0)),
        None,
        draws=False,
    ),
}  # fmt: skip

STANDS = ledger("adapters: right examples are not refuted at 5e-8", 1e-6)
FINDS = ledger("adapters: wrong examples are refuted", 1e-6)
"""Each is refuted, on the seeds tried, within a third of the sequences allowed here."""


@pytest.fixture(params=list(registry))
def example(request: pytest.FixtureRequest) -> Example:
    assert request.param in EXAMPLES, f"the adapter {request.param!r} has no example: add one here"
    return EXAMPLES[request.param]


def test_every_example_is_of_an_adapter() -> None:
    assert set(EXAMPLES) == set(registry)


@pytest.mark.parametrize("name", list(registry))
def test_an_adapter_says_where_and_what_it_is(name: str) -> None:
    path, line = registry.origin(name).rsplit(":", 1)
    found = registry.load(name)
    assert re.match(rf"def {found.__name__}\b", Path(path).read_text().splitlines()[int(line) - 1])
    documented = inspect.getdoc(found) or ""
    assert len(documented.splitlines()) == 1 or "Parameters\n" in documented


def test_unknown_names_list_what_there_is() -> None:
    for look_up in (registry.load, registry.origin):
        with pytest.raises(UnknownNameError, match="name='kernels' is not known; known: ancestral, callable, endpoint"):
            look_up("kernels")


@pytest.mark.slow
def test_an_adapter_is_small(example: Example, tmp_path: Path) -> None:
    subject = example.right(tmp_path)
    own = [name for name in vars(type(subject)) if callable(getattr(subject, name)) and not name.startswith("_")]
    called = ["__call__"] if "__call__" in vars(type(subject)) else []
    assert len(own + called) <= 3
    assert callable(subject) or {"verify_window", "verify_tree"} & set(own)


def drawn(subject: Any, model: Any, num_sequences: int, seed: int) -> np.ndarray:
    if as_subject(subject).is_tree:
        rng, size = np.random.default_rng(0), subject.vocab_size
        tables = make_tables(rng, num_sequences, subject.tree, size, subject.drafts)
        first = np.tile(np.arange(len(subject.tree)) % size, (num_sequences, 1))
        return subject.verify_tree(TreeWindows(tables, first), seed)
    if as_subject(subject).is_kernel:
        tokens, laws = np.zeros((num_sequences, 4), dtype=np.int64), np.full((num_sequences, 5, 6), 1 / 6)
        return subject.verify_window(tokens, laws[:, :4], laws, seed)[0]
    own = as_subject(subject).target_model if model is None else model
    returned = subject(own, num_sequences, seed)
    return returned["tokens"].values.astype(int) if is_trace(returned) else np.asarray(returned)


@pytest.mark.slow
def test_an_adapter_draws_what_the_contract_says(example: Example, tmp_path: Path) -> None:
    subject = example.right(tmp_path)
    first, second = (drawn(subject, example.model, 16, 1) for _ in range(2))
    assert first.shape[0] == 16
    assert np.issubdtype(first.dtype, np.integer)
    assert (first == second).all() == example.draws  # stored sequences come once each
    assert (drawn(subject, example.model, 16, 2) != first).any()
    target = as_subject(subject).target_model
    if example.model is None and target is not None:
        assert target.num_tokens == first.shape[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_an_adapter_tells_right_from_wrong(example: Example, tmp_path: Path, kind: str) -> None:
    subject = getattr(example, kind)(tmp_path)
    limit = {"right": 48, "wrong": 1_000}[kind] if example.draws else None
    verdict = audit(subject, example.model, alpha=5e-8, max_sequences=limit, progress=False)
    assert (verdict.outcome is Outcome.REFUTED) == (kind == "wrong")
    assert verdict.record["path"]["taken"]
    assert verdict.record["path"]["why"]
