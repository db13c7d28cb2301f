"""The settings of a sampler: checked by name, sent as each server wants them, and the law that they make by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.audit.adapters.engine_seeds import SEEDS, request_seeds
from scd_analysis.audit.adapters.engine_target import EngineTarget
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


class OneToken:
    """A model of one token."""

    vocab_size, num_tokens = 4, 1

    def next_token_probs(self, tokens: Any) -> Any:
        """Return Float[B, 1, 4]."""
        return np.repeat(np.exp(LOGITS[0])[None], len(tokens), axis=0)


def cut_at(**settings: float) -> EngineTarget:
    return EngineTarget(OneToken(), np.array([3]), 1, Sampling.of(settings), OPENAI, ())


@pytest.mark.parametrize(
    ("settings", "token", "nats"),
    [
        ({"top_p": 0.79}, 2, np.log(1 + (0.8 / 0.79 - 1) / 0.15)),
        ({"top_p": 0.79}, 1, 0.0),
        ({"top_k": 2}, 2, np.log(2)),
        ({"min_p": 0.35}, 2, np.log(0.35 * 0.5 / 0.15)),
        ({"top_p": 0.45}, 3, np.inf),
        ({"temperature": 0.0}, 1, np.log(0.5 / 0.3)),
    ],
)
def test_how_near_a_token_was_to_being_kept_by_hand(settings: Any, token: int, nats: float) -> None:
    found = cut_at(**settings).nats_from_kept(NONE[0], token)
    assert found == nats or 0 <= found - nats <= 0.00101


def engine_of(*law: float) -> Any:
    def engine(model: Any, num_sequences: int, seed: int) -> Any:
        return np.random.default_rng(seed).choice(4, size=(num_sequences, 1), p=np.array(law) / sum(law))

    return engine


KEEPS_THE_THIRD = engine_of(0.5, 0.3, 0.15, 0)
"""Whose edge is at .8."""


def test_a_token_at_the_edge_of_a_cut_is_what_rounding_may_do() -> None:
    """The sequences that hold one are left out, which is said, and the others are judged."""
    verdict = audit(KEEPS_THE_THIRD, cut_at(top_p=0.799), max_sequences=256, resolution=0.9, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert "of 256 sequences were left out: they hold a token that the target's settings cut off" in verdict.sentence
    assert "an audit with epsilon judges them too" in str(verdict)
    within = audit(KEEPS_THE_THIRD, cut_at(top_p=0.799), max_sequences=256, epsilon=0.2, resolution=0.9, progress=False)
    assert within.outcome is Outcome.NOT_REFUTED
    assert "left out" not in within.sentence


@pytest.mark.parametrize(
    ("engine", "stated", "cause"),
    [
        (KEEPS_THE_THIRD, 0.6, "2 at position 0 of sequence"),
        (engine_of(0.5, 0.3, 0.15, 0.05), 0.799, "3 at position 0 of sequence"),
        (engine_of(0.3, 0.5, 0.15, 0), 0.799, ""),
    ],
    ids=["far from the edge", "beyond it", "others wrong"],
)
def test_a_fault_beside_tokens_at_an_edge_is_refuted(engine: Any, stated: float, cause: str) -> None:
    verdict = audit(engine, cut_at(top_p=stated), max_sequences=512, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.diagnosis is not None
    assert cause in verdict.diagnosis.cause


def test_all_sequences_at_an_edge_leave_nothing_to_judge() -> None:
    verdict = audit(engine_of(0, 0, 1, 0), cut_at(top_p=0.799), max_sequences=64, progress=False)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "64 of 64 sequences were left out" in verdict.sentence


@pytest.mark.parametrize(("second", "is_near"), [(0.49, True), (0.4, False)])
def test_a_greedy_engine_may_flip_where_two_tokens_all_but_tie(second: float, is_near: bool) -> None:
    class Two(OneToken):
        def next_token_probs(self, tokens: Any) -> Any:
            return np.repeat(np.array([[[0.5, second, 0.5 - second, 0]]]), len(tokens), axis=0)

    target = EngineTarget(Two(), np.array([3]), 1, Sampling.of({"temperature": 0.0}), OPENAI, ())
    verdict = audit(engine_of(0.9, 0.1, 0, 0), target, max_sequences=64, progress=False)
    assert (verdict.outcome is Outcome.REFUTED) != is_near
    assert verdict.greedy is not None
    assert ("which rounding may do" in verdict.sentence) == is_near


def test_a_model_that_does_not_know_its_cuts_is_told() -> None:
    class Wrong(OneToken):
        def next_token_probs(self, tokens: Any) -> Any:
            return np.repeat(np.array([[[0.5, 0.5, 0, 0]]]), len(tokens), axis=0)

        def nats_from_kept(self, tokens: Any, token: int) -> float:
            return -1.0

    with pytest.raises(InputError, match=r"model.nats_from_kept\(\[\], 3\) = -1.0: expected nats"):
        audit(lambda model, many, seed: np.full((many, 1), 3), Wrong(), progress=False)
