"""The settings of a sampler: checked by name, sent as each server wants them, and the law that they make by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scd_analysis.audit.adapters.engine_seeds import SEEDS, request_seeds
from scd_analysis.audit.adapters.sampling import LLAMA_CPP, OPENAI, OPENVINO, Convention, Sampling, target_laws
from scd_analysis.errors import InputError

LOGITS = np.log(np.array([[[0.5, 0.3, 0.15, 0.05]]]))
NONE = np.zeros((1, 0), dtype=np.int64)


def law(settings: dict[str, Any], convention: Convention = OPENAI, ends: tuple[int, ...] = (0,)) -> Any:
    out = target_laws(LOGITS, NONE, np.array([3]), Sampling.of(settings), convention, ends)
    return out[0, 0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.5, 0.3, 0.15, 0.05]),
        ({"temperature": 0.5}, np.array([25, 9, 2.25, 0.25]) / 36.5),
        ({"temperature": 0}, [1, 0, 0, 0]),
        ({"top_k": 2}, [0.625, 0.375, 0, 0]),
        ({"top_p": 0.79}, [0.625, 0.375, 0, 0]),
        ({"top_p": 0.81}, np.array([0.5, 0.3, 0.15, 0]) / 0.95),
        ({"min_p": 0.25}, np.array([0.5, 0.3, 0.15, 0]) / 0.95),
        ({"allowed_tokens": [1, 2]}, [0, 2 / 3, 1 / 3, 0]),
        ({"logit_bias": {3: np.log(10).item()}}, np.array([0.5, 0.3, 0.15, 0.5]) / 1.45),
    ],
)
def test_laws_by_hand(settings: dict[str, Any], expected: Any) -> None:
    assert law(settings) == pytest.approx(np.array(expected), abs=1e-12)


def test_conventions_differ_as_stated() -> None:
    """llama.cpp cuts before it heats, and never draws the token that it ignores."""
    settings = {"temperature": 4.0, "top_p": 0.79}
    assert law(settings)[2] > 0
    assert law(settings, LLAMA_CPP, ends=())[2:] == pytest.approx(0)
    assert law({}, LLAMA_CPP)[0] == 0
    assert law({})[0] == 0.5
    penalised = {"presence_penalty": 2.0}
    assert law(penalised)[3] == pytest.approx(0.05)  # token 3 is in the prompt, which does not count
    assert law(penalised, LLAMA_CPP)[3] < 0.05 / 0.5


def test_penalties_by_hand() -> None:
    """Positive logits are divided and others multiplied; counts grow with the sequence."""
    logits = np.array([[[2.0, -1.0, 0.0]] * 3])
    tokens = np.array([[0, 0]])
    sampling = Sampling.of({"repetition_penalty": 2.0, "frequency_penalty": 0.5})
    laws = target_laws(logits, tokens, np.array([1]), sampling, OPENAI, ())
    expected = np.array([[2, -2, 0], [1 - 0.5, -2, 0], [1 - 1, -2, 0]], dtype=float)
    assert np.log(laws[0] / laws[0, :, 2:]) == pytest.approx(expected)


def test_a_penalty_of_openvino_raises_a_negative_logit() -> None:
    """Each step looks at the sign that the one before has left; of others, all go down."""
    logits = np.array([[[2.0, -1.0, 0.2, 0.0]] * 3])
    tokens = np.array([[0, 2]])
    sampling = Sampling.of({"presence_penalty": 0.5, "frequency_penalty": 0.25})
    laws = target_laws(logits, tokens, np.array([1]), sampling, OPENVINO, ())
    expected = np.array([[2, -1, 0.2, 0], [2 - 0.75, -1, 0.2, 0], [2 - 0.75, -1, -0.3 + 0.25, 0]])
    assert np.log(laws[0] / laws[0, :, 3:]) == pytest.approx(expected)
    laws = target_laws(logits, tokens, np.array([1]), sampling, OPENAI, ())
    assert np.log(laws[0, 2, 2] / laws[0, 2, 3]) == pytest.approx(0.2 - 0.75)


def test_requests_say_everything() -> None:
    sent = OPENAI.request(Sampling.of({"top_k": 8, "logit_bias": {5: 1.5}, "allowed_tokens": (5, 6)}), 9)
    assert sent["top_k"] == 8
    assert sent["logit_bias"] == {"5": 1.5}
    assert sent["allowed_token_ids"] == [5, 6]
    assert (sent["temperature"], sent["top_p"], sent["min_p"], sent["repetition_penalty"]) == (1.0, 1.0, 0.0, 1.0)
    sent = LLAMA_CPP.request(Sampling.of({"logit_bias": {5: 1.5}, "repetition_penalty": 1.1}), 9)
    assert sent["logit_bias"] == [[5, 1.5]]
    assert (sent["repeat_penalty"], sent["top_k"], sent["repeat_last_n"]) == (1.1, 0, 9)
    with pytest.raises(InputError, match=r"sampling\['allowed_tokens'\] = .*: llama\.cpp has no such setting"):
        LLAMA_CPP.request(Sampling.of({"allowed_tokens": [1]}), 9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"topk": 3}, "sampling='topk' is not known; known: allowed_tokens"),
        ({"temperature": -1}, r"sampling\['temperature'\] = -1: must be a number between 0 and 100"),
        ({"temperature": float("nan")}, r"sampling\['temperature'\] = nan"),
        ({"top_p": 0}, r"sampling\['top_p'\] = 0"),
        ({"top_k": 2.5}, r"sampling\['top_k'\] = 2\.5: must be a whole number"),
        ({"top_k": True}, r"sampling\['top_k'\] = True"),
        ({"min_p": "0.1"}, r"sampling\['min_p'\] = '0\.1'"),
        ({"logit_bias": {1: float("inf")}}, r"sampling\['logit_bias'\]\[0\]"),
        ({"allowed_tokens": []}, r"allows no token"),
        ([1], "expected a mapping"),
    ],
)
def test_bad_settings_are_named(settings: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sampling.of(settings)


@pytest.mark.parametrize("choices", [1, 3, 8])
def test_requests_never_share_a_seed(choices: int) -> None:
    """An engine gives choice i the seed s + i."""
    starts = request_seeds(7, 5_000, choices)
    used = {start + i for start in starts for i in range(choices)}
    assert len(used) == 5_000 * choices
    assert 0 <= min(used)
    assert max(used) < SEEDS
    assert request_seeds(7, 10, choices) == starts[:10]
