"""Engines in this process, by modules that stand for them: what they are asked, what drafts count, what goes wrong."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.errors import EngineError, InputError
from scd_analysis.subjects import registry
from tests.audit.engine_modules import Llm, Pipeline, installed, subject_of
from tests.audit.engine_server import LOAD, Engine
from tests.evidence.decoders import random_tables
from tests.statistics import ledger

TABLES = random_tables(5, 4, 0.8, np.random.default_rng(11))
CALL: dict[str, Any] = {
    "prompt": [1, 2],
    "num_tokens": 4,
    "sampling": {"temperature": 0.8, "top_k": 2},
    "target": TABLES,
}
ENGINES = ("openvino", "onnx-genai", "vllm")
STANDS = ledger("engines in process: a right engine is not refuted", 4e-7)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("drafts", [3, 0])
def test_speculation_that_tells_of_no_draft_is_inconclusive(name: str, drafts: int) -> None:
    subject = subject_of(name, Engine(TABLES, drafts=drafts), speculation=True, **CALL)
    verdict = audit(subject, alpha=5e-8, max_sequences=128, resolution=0.9, progress=False)
    assert verdict.outcome is (Outcome.NOT_REFUTED if drafts else Outcome.INCONCLUSIVE)
    assert subject.drafted == 128 * drafts
    assert ("tells of none" in "".join(verdict.missing)) == (drafts == 0)


def test_what_a_pass_of_prompt_lookup_commits_beyond_one_token_is_counted() -> None:
    with installed():
        subject = registry.load("openvino")(Pipeline(Engine(TABLES), is_counted=False), **CALL)
    subject(None, 8, 0)
    assert subject.drafted == 8 * 3


def test_openvino_is_asked_for_everything() -> None:
    engine = Engine(TABLES)
    subject = subject_of("openvino", engine, assistant={"num_assistant_tokens": 4}, **CALL)
    subject(None, 40, 5)
    asked = engine.requests[0]
    assert (asked["do_sample"], asked["ignore_eos"], asked["max_new_tokens"]) == (True, True, 4)
    assert (asked["temperature"], asked["top_k"], asked["top_p"], asked["min_p"]) == (0.8, 2, 1.0, 0.0)
    assert (asked["repetition_penalty"], asked["presence_penalty"], asked["frequency_penalty"]) == (1.0, 0.0, 0.0)
    assert asked["num_assistant_tokens"] == 4
    assert len({request["rng_seed"] for request in engine.requests}) == 40


def test_onnx_genai_is_asked_for_everything() -> None:
    engine = Engine(TABLES)
    subject = subject_of("onnx-genai", engine, speculative={"max_draft_tokens": 4}, **CALL)
    subject(None, 40, 5)
    asked = engine.requests[0]
    assert (asked["do_sample"], asked["min_length"], asked["max_length"]) == (True, 6, 6)
    assert (asked["temperature"], asked["top_k"], asked["top_p"], asked["repetition_penalty"]) == (0.8, 2, 1.0, 1.0)
    assert asked["max_draft_tokens"] == 4
    seeds = {request["random_seed"] for request in engine.requests}
    assert len(seeds) == 40
    assert 0 <= min(seeds) <= max(seeds) < 2**31


def test_vllm_is_asked_for_everything_many_at_a_time() -> None:
    engine = Engine(TABLES)
    llm = Llm(engine)
    with installed():
        subject = registry.load("vllm")(llm, **CALL)
    subject(None, 40, 5)
    asked = engine.requests[0]
    assert llm.batches == [1, 4, 16, 1, 4, 14]
    assert subject.lacking() == ()
    assert (asked["ignore_eos"], asked["max_tokens"], asked["detokenize"]) == (True, 4, False)
    assert (asked["temperature"], asked["top_k"], asked["top_p"], asked["min_p"]) == (0.8, 2, 1.0, 0.0)
    assert (asked["repetition_penalty"], asked["presence_penalty"], asked["frequency_penalty"]) == (1.0, 0.0, 0.0)
    assert len({request["seed"] for request in engine.requests}) == 40


def test_vllm_takes_numbers_for_biased_tokens() -> None:
    engine = Engine(TABLES)
    subject_of("vllm", engine, **CALL | {"sampling": {"logit_bias": {1: 2.0}}})(None, 1, 0)
    assert engine.requests[0]["logit_bias"] == {1: 2.0}


def test_a_fault_of_vllm_under_load_is_found() -> None:
    """One request at a time it stands."""
    for concurrency, expected in ((1, Outcome.NOT_REFUTED), (LOAD, Outcome.REFUTED)):
        engine = Engine(TABLES, fault="no-top-k under load")
        subject = subject_of("vllm", engine, concurrency=concurrency, **CALL)
        verdict = audit(subject, alpha=5e-8, max_sequences=128, resolution=0.9, progress=False)
        assert verdict.outcome is expected


def test_a_load_of_vllm_that_is_never_reached_is_said() -> None:
    subject = subject_of("vllm", Engine(TABLES), concurrency=(1, 4, 16), **CALL)
    subject(None, 8, 0)
    assert "16 requests at a time were asked for, and 4 were made" in subject.lacking()[0]


def test_vllm_without_statistics_shows_no_drafts() -> None:
    with installed():
        subject = registry.load("vllm")(Llm(Engine(TABLES), has_statistics=False), speculation=True, **CALL)
    subject(None, 8, 0)
    assert subject.drafted is None
    assert "tells of none" in subject.lacking()[0]


@pytest.mark.parametrize("name", ["openvino", "onnx-genai"])
def test_greedy_is_asked_for_in_the_engines_own_words(name: str) -> None:
    engine = Engine(TABLES)
    subject_of(name, engine, **CALL | {"sampling": {"temperature": 0}})(None, 2, 0)
    assert engine.requests[0]["do_sample"] is False
    assert "temperature" not in engine.requests[0]


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        ("openvino", "refuses", r"OpenVINO GenAI: raised at seed \d+ \(Check 'content_length' failed\)"),
        ("vllm", "refuses", r"vLLM: raised at seed \d+ \(EngineCore encountered an issue\)"),
        ("vllm", "loses one", "vLLM: answers with 0 sequences: 1 were asked for"),
        ("onnx-genai", "short", r"ONNX Runtime GenAI: tokens has 3 tokens: 4 were asked for"),
    ],
)
def test_an_engine_that_raises_or_stops_is_named(name: str, fault: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        subject_of(name, Engine(TABLES, fault=fault), **CALL)(None, 4, 0)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("openvino", {"prompt": []}, r"prompt = \[\]: expected token ids"),
        ("openvino", {"num_tokens": 0}, "num_tokens = 0: must be at least 1"),
        ("openvino", {"sampling": {"logit_bias": {1: 1.0}}}, "OpenVINO GenAI has no such setting"),
        ("vllm", {"concurrency": 0}, "concurrency = 0: must be at least 1"),
        ("onnx-genai", {"sampling": {"min_p": 0.1}}, r"sampling\['min_p'\] = 0\.1: ONNX Runtime GenAI has no such"),
        ("onnx-genai", {"num_tokens": 9}, "num_tokens = 9: the target has laws for 4 tokens"),
    ],
)
def test_bad_arguments_are_named(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        subject_of(name, Engine(TABLES), **CALL | changes)


@pytest.mark.parametrize(
    ("name", "needed"), [("openvino", "openvino_genai"), ("onnx-genai", "onnxruntime_genai"), ("vllm", "vllm")]
)
def test_an_engine_that_is_not_there_is_asked_for_by_its_extra(name: str, needed: str) -> None:
    adapter = registry.load(name)
    with installed(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, needed, None)
        with pytest.raises(EngineError, match=rf"needs {needed}: pip install 'scd-analysis\[{name}\]'"):
            adapter(None, **CALL)
