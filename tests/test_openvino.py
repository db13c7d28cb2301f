"""A released engine: OpenVINO GenAI on the tiny model, in an environment of its own (``make test-engines``)."""

from __future__ import annotations

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.audit.adapters.engine_target import FolderLogits
from scd_analysis.engines.tiny import ROLES, tiny_model
from studies.engines.openvino import FLOAT32, LOOKUP, OPENVINO
from tests.statistics import ledger

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed: the extra openvino")
pytest.importorskip("openvino_genai", reason="OpenVINO GenAI is not installed: the extra openvino")
pytestmark = pytest.mark.slow

ALPHA = 1e-8
STANDS = ledger("OpenVINO: what it samples is not refuted at 1e-8", 3e-8)
FALLS = ledger("OpenVINO: a planted slip is refuted", 1e-7)
SETTINGS = {"temperature": 0.8, "min_p": 0.01, "presence_penalty": 0.5, "frequency_penalty": 0.3}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder, ("hf", "openvino"))
    return folder


@pytest.mark.parametrize("role", ROLES)
def test_the_graph_has_the_law_of_the_folder(tiny, role):
    """In pieces, so that keys and values are kept from one to the next."""
    tokens = np.random.default_rng(0).integers(3, 32, (4, 12))
    expected = FolderLogits(tiny / role)(np.array([5, 6, 7]), tokens)
    rows = np.concatenate([np.tile([5, 6, 7], (4, 1)), tokens], axis=1)
    compiled = openvino.Core().compile_model(tiny / f"{role}.openvino" / "openvino_model.xml", "CPU", FLOAT32)
    request, parts = compiled.create_infer_request(), []
    for start, stop in ((0, 3), (3, 4), (4, 9), (9, 15)):
        inputs = {
            "input_ids": rows[:, start:stop],
            "attention_mask": np.ones((4, stop), dtype=np.int64),
            "position_ids": np.tile(np.arange(start, stop), (4, 1)),
            "beam_idx": np.arange(4, dtype=np.int32),
        }
        parts.append(request.infer(inputs)["logits"].copy())
    np.testing.assert_allclose(np.concatenate(parts, axis=1)[:, 2:], expected, atol=1e-4)


def asked(arm, tiny, mode, sampling):
    prompt = OPENVINO.prompts.get(mode, OPENVINO.prompts[""])
    return arm(prompt=prompt, sampling=sampling, target=tiny / "target", speculation=mode == LOOKUP)


@pytest.mark.parametrize("mode", ["off", LOOKUP])
def test_it_samples_from_the_law_that_its_settings_state(tiny, mode):
    with OPENVINO.opened(tiny, mode, None) as arm:
        subject = asked(arm, tiny, mode, SETTINGS)
        verdict = audit(subject, alpha=ALPHA, max_sequences=400, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert (subject.drafted > 0) == (mode == LOOKUP)


@pytest.mark.parametrize("draft", ROLES)
def test_greedy_decoding_with_drafts_gives_the_most_probable_tokens(tiny, draft):
    with OPENVINO.opened(tiny, "draft", draft) as arm:
        subject = asked(arm, tiny, "draft", {"temperature": 0})
        tokens = subject(None, 1, 0)
    assert (subject.target_model.next_token_probs(tokens[:, :-1]).argmax(-1) == tokens).all()


def test_a_setting_that_the_engine_is_not_asked_for_is_refuted(tiny):
    with OPENVINO.opened(tiny, "off", None) as arm:
        right, wrong = (asked(arm, tiny, "off", sampling) for sampling in ({"temperature": 0.8}, {}))
        verdict = audit(wrong, right.target_model, alpha=1e-6, max_sequences=3_000, progress=False)
    assert verdict.outcome is Outcome.REFUTED


def test_equal_seeds_give_equal_sequences(tiny):
    with OPENVINO.opened(tiny, "off", None) as arm:
        subject = asked(arm, tiny, "off", {})
        np.testing.assert_array_equal(subject(None, 16, 3), subject(None, 16, 3))
