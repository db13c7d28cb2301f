"""A released engine: vLLM on the tiny model, in an environment of its own (``make test-engines``)."""

from __future__ import annotations

import numpy as np
import pytest

from scd_analysis import Outcome, audit, audit_pair
from scd_analysis.engines.tiny import tiny_model
from studies.engines.vllm import MENDED, VLLM
from tests.statistics import ledger

pytest.importorskip("vllm", reason="vLLM is not installed: make test-engines has it")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ALPHA = 1e-8
STANDS = ledger("vLLM: what it samples is not refuted at 1e-8", 4e-8)
FALLS = ledger("vLLM: planted slips are refuted", 1e-8)
"""Each is refuted, on the seeds tried, within a tenth of the sequences allowed."""

SETTINGS = {"temperature": 0.8, "top_p": 0.95, "repetition_penalty": 1.2, "presence_penalty": 0.5, "min_p": 0.01}
OTHERS = {"top_k": 8, "frequency_penalty": 0.3, "logit_bias": {5: 1.5}, "allowed_tokens": [*range(3, 30)]}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder, ("hf",))
    return folder


@pytest.fixture(scope="module")
def off(tiny):
    with VLLM.opened(tiny, "off", None) as arm:
        yield arm


def asked(arm, tiny, mode, sampling=None):
    prompt = VLLM.prompts.get(mode, VLLM.prompts[""])
    return arm(prompt=prompt, sampling=sampling, target=tiny / "target", speculation=mode != "off")


@pytest.mark.parametrize("settings", [SETTINGS, OTHERS])
def test_it_samples_from_the_law_that_its_settings_state(off, tiny, settings):
    subject = asked(off, tiny, "off", settings)
    verdict = audit(subject, alpha=ALPHA, max_sequences=400, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert subject.drafted == 0


def test_greedy_decoding_gives_the_most_probable_tokens(off, tiny):
    subject = asked(off, tiny, "off", {"temperature": 0})
    tokens = subject(None, 1, 0)
    assert (subject.target_model.next_token_probs(tokens[:, :-1]).argmax(-1) == tokens).all()


def test_a_setting_that_the_engine_is_not_asked_for_is_refuted(off, tiny):
    right, wrong = (asked(off, tiny, "off", sampling) for sampling in ({"temperature": 0.8}, {}))
    verdict = audit(wrong, right.target_model, alpha=1e-6, max_sequences=3_000, progress=False)
    assert verdict.outcome is Outcome.REFUTED


def test_equal_seeds_give_equal_sequences(off, tiny):
    subject = asked(off, tiny, "off")
    np.testing.assert_array_equal(subject(None, 16, 3), subject(None, 16, 3))


@pytest.mark.parametrize("mode", ["ngram", "ngram" + MENDED])
def test_drafts_stand_with_one_function_repaired_and_fall_without(off, tiny, mode):
    """The settings that drafts are verified with are what was allocated, where Triton has no backend."""
    control = asked(off, tiny, mode)
    with VLLM.opened(tiny, mode, None) as arm:
        subject = asked(arm, tiny, mode)
        verdict = audit(subject, alpha=ALPHA, max_sequences=400, progress=False)
        pair = audit_pair(subject, control, alpha=ALPHA, max_sequences=1_000)
    expected = Outcome.NOT_REFUTED if MENDED in mode else Outcome.REFUTED
    assert (verdict.outcome, pair.outcome) == (expected, expected)
    assert subject.drafted > 0
