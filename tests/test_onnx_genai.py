"""A released engine: ONNX Runtime GenAI on the tiny model, in an environment of its own (``make test-engines``)."""

from __future__ import annotations

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.audit.adapters.engine_target import FolderLogits
from scd_analysis.engines.tiny import ROLES, tiny_model
from studies.engines.onnx_genai import ONNX_GENAI
from tests.statistics import ledger

engine = pytest.importorskip("onnxruntime_genai", reason="ONNX Runtime GenAI is not installed: the extra onnx-genai")
pytest.importorskip("onnx_ir", reason="the builder of models is not installed: the extra onnx-genai")
pytestmark = pytest.mark.slow

ALPHA = 1e-8
STANDS = ledger("ONNX Runtime GenAI: what it samples is not refuted at 1e-8", 3e-8)
FALLS = ledger("ONNX Runtime GenAI: a planted slip is refuted", 1e-7)
SETTINGS = {"temperature": 0.8, "top_k": 8, "top_p": 0.95, "repetition_penalty": 1.2}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder, ("hf", "onnx"))
    return folder


@pytest.mark.parametrize("role", ROLES)
def test_the_graph_has_the_law_of_the_folder(tiny, role):
    tokens = np.random.default_rng(0).integers(3, 32, 12).astype(np.int32)
    expected = FolderLogits(tiny / role)(np.array([5, 6, 7]), tokens[None].astype(np.int64))[0]
    model = engine.Model(str(tiny / f"{role}.onnx"))
    parameters = engine.GeneratorParams(model)
    parameters.set_search_options(max_length=20)
    generator, logits = engine.Generator(model, parameters), []
    for part in (np.array([5, 6, 7], dtype=np.int32), *tokens[:, None]):
        generator.append_tokens(part)
        logits.append(generator.get_logits()[0, 0].copy())
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def asked(arm, tiny, mode, sampling):
    prompt = ONNX_GENAI.prompts.get(mode, ONNX_GENAI.prompts[""])
    return arm(prompt=prompt, sampling=sampling, target=tiny / "target", speculation=mode != "off")


@pytest.mark.parametrize(("mode", "draft"), [("off", None), ("draft", "near"), ("ngram", None)])
def test_it_samples_from_the_law_that_its_settings_state(tiny, mode, draft):
    with ONNX_GENAI.opened(tiny, mode, draft) as arm:
        subject = asked(arm, tiny, mode, SETTINGS)
        verdict = audit(subject, alpha=ALPHA, max_sequences=400, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert (subject.drafted > 0) == (mode != "off")


def test_a_setting_that_the_engine_is_not_asked_for_is_refuted(tiny):
    with ONNX_GENAI.opened(tiny, "off", None) as arm:
        right, wrong = (asked(arm, tiny, "off", sampling) for sampling in ({"temperature": 0.8}, {}))
        verdict = audit(wrong, right.target_model, alpha=1e-6, max_sequences=3_000, progress=False)
    assert verdict.outcome is Outcome.REFUTED


def test_equal_seeds_give_equal_sequences_and_greedy_the_most_probable(tiny):
    with ONNX_GENAI.opened(tiny, "off", None) as arm:
        subject = asked(arm, tiny, "off", {})
        np.testing.assert_array_equal(subject(None, 16, 3), subject(None, 16, 3))
        greedy = asked(arm, tiny, "off", {"temperature": 0})
        tokens = greedy(None, 1, 0)
    assert (greedy.target_model.next_token_probs(tokens[:, :-1]).argmax(-1) == tokens).all()
