"""Reported log-probabilities by themselves: the model's own agree; drift, processing and what is missing are told."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from scd_analysis import audit_log_probs
from scd_analysis.audit.log_probs import LogProbsOutcome
from scd_analysis.audit.processing import Processing
from scd_analysis.cli.commands import run as run_command
from scd_analysis.errors import InputError
from scd_analysis.subjects import ancestral


class Chain:
    """Six tokens over twelve, each law known by the token before; 32 bits, as an engine computes it."""

    vocab_size, num_tokens = 12, 6

    def __init__(self) -> None:
        logits = np.random.default_rng(0).normal(scale=2, size=(13, 12)).astype(np.float32)
        self._laws = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def next_token_probs(self, tokens):
        before = np.concatenate([np.full((len(tokens), 1), 12), np.asarray(tokens)], axis=1)
        return self._laws[before]


MODEL = Chain()
TOKENS = ancestral(MODEL, 40, 0)
LAWS = MODEL.next_token_probs(TOKENS[:, :-1]).astype(np.float64)


def rows(laws=LAWS, listed=None, own=False):
    """As an engine reports them: whole, the most probable, or the drawn token's alone."""
    with np.errstate(divide="ignore"):
        logs = np.log(laws)
    out = []
    for tokens, law in zip(TOKENS.tolist(), logs, strict=True):
        if own:
            out.append(
                {"tokens": tokens, "logprobs": [float(each[token]) for each, token in zip(law, tokens, strict=True)]}
            )
        elif listed is None:
            out.append({"tokens": tokens, "logprobs": law.tolist()})
        else:
            best = np.argsort(-law, axis=1, kind="stable")[:, :listed]
            top = np.take_along_axis(law, best, axis=1)
            out.append({"tokens": tokens, "top_tokens": best.tolist(), "top_logprobs": top.tolist()})
    return out


FORMS = {"whole": {}, "listed": {"listed": 5}, "own": {"own": True}}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_models_own_agree(form):
    found = audit_log_probs(rows(**form), MODEL)
    assert found.outcome is LogProbsOutcome.AGREE
    assert found.raw.largest < 1e-6
    assert found.processing.is_raw
    assert (found.num_sequences, found.num_positions) == (40, 240)


def test_rows_may_hold_arrays_and_tensors():
    given = [
        {"tokens": torch.tensor(row["tokens"]), "logprobs": np.array(row["logprobs"])}
        if i % 2
        else {"tokens": row["tokens"], "logprobs": [{np.int64(0): law[0]} for law in np.array(row["logprobs"])]}
        for i, row in enumerate(rows())
    ]
    assert audit_log_probs(given, MODEL).outcome is LogProbsOutcome.AGREE


@pytest.mark.parametrize(
    ("processing", "words", "form"),
    [
        (Processing(0.7), "temperature 0.7", "whole"),
        (Processing(0.7), "temperature 0.7", "listed"),
        (Processing(1.4), "temperature 1.4", "listed"),
        (Processing(1.0, top_k=4), "top-k 4", "whole"),
        (Processing(1.0, top_k=4), "top-k 4", "listed"),
        (Processing(0.8, top_k=7), "temperature 0.8, top-k 7", "listed"),
        (Processing(1.0, top_p=0.8), "top-p", "whole"),
        (Processing(1.0, top_p=0.8), "top-p", "listed"),
    ],
)
def test_a_processing_is_recognised(processing, words, form):
    """What the engine reports is processed, where the model is not."""
    found = audit_log_probs(rows(processing(LAWS), **FORMS[form]), MODEL)
    assert found.outcome is LogProbsOutcome.PROCESSED, str(found)
    assert words in str(found.processing)
    assert found.raw.largest > 0.01 > found.processed.largest
    assert f"After {found.processing}" in str(found)


def test_a_temperature_is_recognised_by_the_drawn_tokens_numbers_to_the_grid():
    found = audit_log_probs(rows(Processing(0.7)(LAWS), own=True), MODEL, tolerance=0.02)
    assert found.outcome is LogProbsOutcome.PROCESSED
    assert found.processing.temperature == pytest.approx(0.7, rel=0.02)


def test_drift_is_told_with_its_size_and_where_it_is_largest():
    laws = LAWS.copy()
    laws[7, 3] = np.roll(laws[7, 3], 1)
    found = audit_log_probs(rows(laws), MODEL)
    assert found.outcome is LogProbsOutcome.DIFFER
    expected = np.abs(laws[7, 3] - LAWS[7, 3]).sum() / 2
    assert found.raw.largest == pytest.approx(expected, rel=1e-4)
    assert found.raw.mean == pytest.approx(expected / 240, rel=1e-4)
    assert (found.raw.row, found.raw.sequence, found.raw.position) == ("recorded[7]", 7, 3)
    assert "at position 3 of recorded[7]" in str(found)


def test_rounding_is_drift_within_a_stated_tolerance():
    rounded = np.exp(np.log(LAWS).astype(np.float16).astype(np.float64))
    found = audit_log_probs(rows(rounded), MODEL, tolerance=5e-3)
    assert found.outcome is LogProbsOutcome.AGREE
    assert found.raw.largest > 0
    assert audit_log_probs(rows(rounded), MODEL, tolerance=1e-9).outcome is LogProbsOutcome.DIFFER


def test_the_law_of_the_row_before_is_no_processing():
    assert audit_log_probs(rows(np.roll(LAWS, 1, axis=1)), MODEL).outcome is LogProbsOutcome.DIFFER


def test_missing_rows_and_positions_are_named():
    given = rows()
    del given[3]["logprobs"]
    given[5]["logprobs"] = given[5]["logprobs"][:-1]
    given[8]["logprobs"][0] = None
    found = audit_log_probs(given, MODEL)
    assert found.outcome is LogProbsOutcome.INCOMPLETE
    assert [str(one) for one in found.missing] == [
        "recorded[3]: all 6 positions",
        "recorded[5]: position 5 of 6",
        "recorded[8]: position 0 of 6",
    ]
    assert "Missing: recorded[3]: all 6 positions." in str(found)


def test_a_file_is_read_and_the_result_written(tmp_path, capsys):
    path, out = tmp_path / "engine.jsonl", tmp_path / "found.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(Processing(0.7)(LAWS))))
    words = ["log-probs", str(path), "--model", f"{__name__}:MODEL", "--out", str(out)]
    assert run_command(words) == (1, None)
    assert "PROCESSED: 2,880 numbers of 240 positions in 40 rows" in capsys.readouterr().out
    stored = json.loads(out.read_text())
    assert stored["processing"]["words"] == "temperature 0.7"
    assert stored["raw"]["row"].startswith(str(path))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    assert run_command(words[:4]) == (0, None)
    given = rows()
    del given[0]["logprobs"]
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    assert run_command([*words[:4], "--json"]) == (3, None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "holds no sequence"),
        ([{"logprobs": []}], r"recorded\[0\]: has no tokens"),
        ([{"tokens": [1]}], "no row reports a log-probability"),
        ([{"tokens": [1, 12], "logprobs": [-1.0, -1.0]}], r"recorded\[0\]: tokens"),
        ([{"tokens": [1], "logprobs": [0.5]}], r"recorded\[0\]: logprobs\[0\] has 0.5"),
        ([{"tokens": [1], "logprobs": [-1.0, -1.0]}], "logprobs has 2 entries: tokens has 1"),
        ([{"tokens": [0] * 7, "logprobs": [-1.0]}], "tokens has 7 entries, the model 6"),
        ([{"tokens": [1], "top_tokens": [[1]], "top_logprobs": [[-1.0, -2.0]]}], "are not lists of one length"),
        ([{"tokens": [1], "top_logprobs": [{"99": -1.0}]}], r"reported tokens\[0\]"),
        ([{"tokens": [1], "logprobs": [-1.0], "prompt": i} for i in range(2)], "have two prompts"),
        ([3], r"recorded\[0\] is a int"),
        (7, "expected the path of a recorded file, or rows"),
    ],
)
def test_bad_input_is_named(given, words):
    with pytest.raises(InputError, match=words):
        audit_log_probs(given, MODEL)
