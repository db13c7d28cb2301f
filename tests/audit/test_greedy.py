"""Greedy decoding: near-ties are said with their gaps and forgiven up to a margin; wide gaps are not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.audit.divergences import Divergences
from scd_analysis.cli.commands import EXIT_STATUS
from scd_analysis.cli.commands import run as run_command
from scd_analysis.errors import InputError
from scd_analysis.report import render
from scd_analysis.report.load import read_verdict
from scd_analysis.subjects import ancestral, kernel, recorded
from scd_analysis.testing import assert_lossless

NEAR = {3: 0.0035, 17: 0.005}
"""Gaps between the two most probable tokens, by position."""


class Recurrent:
    """Eighty tokens over eight; the law depends on the two tokens before. At two positions the best two nearly tie."""

    vocab_size, num_tokens = 8, 80

    def __init__(self) -> None:
        self._logits = np.random.default_rng(7).normal(scale=3, size=(8, 8, 8))

    def next_token_probs(self, tokens):
        tokens = np.asarray(tokens)
        before = np.concatenate([np.zeros((len(tokens), 2), dtype=np.int64), tokens], axis=1)
        logits = self._logits[before[:, :-1], before[:, 1:]]
        for position, gap in NEAR.items():
            if position < logits.shape[1]:
                row = logits[:, position]
                order = np.argsort(row, axis=-1)
                near = np.take_along_axis(row, order[:, -1:], axis=-1) - gap
                np.put_along_axis(row, order[:, -2:-1], near, axis=-1)
        laws = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return laws / laws.sum(axis=-1, keepdims=True)


MODEL = Recurrent()


def decoder(second_best=(), stale_from=None):
    """Greedy decoding that takes the second best at some positions, or whose cache goes stale."""

    def decode(model, num_sequences, seed):
        tokens = np.zeros((num_sequences, MODEL.num_tokens), dtype=np.int64)
        for j in range(MODEL.num_tokens):
            seen = tokens[:, :j].copy()
            if stale_from is not None and j > stale_from:
                seen[:, -1] = seen[:, -2]
            law = MODEL.next_token_probs(seen)[:, j]
            tokens[:, j] = np.argsort(law, axis=-1)[:, -2 if j in second_best else -1]
        return tokens

    return decode


exact, rounded = decoder(), decoder(second_best=NEAR)


def judged(subject, model=MODEL, **options):
    return audit(subject, model, progress=False, **options)


def test_an_exact_greedy_decoder_passes_without_a_margin():
    verdict = judged(exact, margin=0.0)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert (verdict.greedy.num_tokens, verdict.greedy.num_distinct, verdict.greedy.num_divergences) == (80, 1, 0)
    assert "80 tokens of 1 different sequences were compared" in str(verdict)


def test_near_ties_are_forgiven_within_the_margin_and_said_with_their_gaps():
    verdict = judged(rounded, margin=0.01)
    assert verdict.outcome is Outcome.NOT_REFUTED
    report = verdict.greedy
    assert (report.num_divergences, report.num_beyond) == (2, 0)
    assert report.first.position == 3
    assert report.first.gap == pytest.approx(0.0035)
    assert report.largest.gap == pytest.approx(0.005)
    assert "0.0035 nats below" in str(verdict)
    assert "2 from 0.003 to 0.01" in str(verdict)


@pytest.mark.parametrize(("margin", "position"), [(0.0, 3), (0.003, 3), (0.004, 17)])
def test_near_ties_beyond_the_margin_refute(margin, position):
    verdict = judged(rounded, margin=margin)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.greedy.num_divergences == 2
    assert verdict.diagnosis.position == position
    assert "is not greedy" in verdict.sentence


@pytest.mark.parametrize("subject", [decoder(second_best={40}), decoder(stale_from=30)])
def test_wide_gaps_refute_whatever_small_margin(subject):
    verdict = judged(subject, margin=0.01)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.greedy.num_beyond >= 1
    assert verdict.greedy.largest.gap > 0.01
    with pytest.raises(AssertionError, match="does not decode greedily"):
        assert_lossless(subject, MODEL, margin=0.01, max_sequences=8, resolution=None)


def test_ties_may_be_broken_either_way():
    class Even:
        vocab_size, num_tokens = 2, 3

        def next_token_probs(self, tokens):
            return np.full((len(tokens), tokens.shape[1] + 1, 2), 0.5)

    assert judged(ancestral, Even(), margin=0.0).outcome is Outcome.NOT_REFUTED


def test_counts_are_of_different_sequences_and_of_what_is_new_in_them():
    laws = np.tile([0.6, 0.4], (3, 4, 1))
    tokens = np.array([[0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 1]])
    found = Divergences(0.0)
    assert found.add(tokens, laws).all()
    report = found.report()
    assert (report.num_sequences, report.num_distinct, report.num_tokens) == (3, 2, 8)
    assert report.num_divergences == 2  # at position 1, of all three, and at the end of the last


def test_a_verdict_on_greedy_decoding_is_written_read_and_shown():
    verdict = judged(rounded, margin=0.004)
    again = read_verdict(json.loads(verdict.to_json()))
    assert again.greedy == verdict.greedy
    assert str(again) == str(verdict)
    page = render(again)
    assert "Greedy decoding" in page
    assert "0.0035" in page


def test_the_laws_of_point_masses_report_their_first_divergence_too():
    class Points(Recurrent):
        def next_token_probs(self, tokens):
            return np.eye(8)[super().next_token_probs(tokens).argmax(axis=-1)]

    verdict = judged(decoder(second_best={40}), Points())
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.greedy.first.position == 40
    assert verdict.greedy.first.gap == np.inf
    with pytest.raises(InputError, match=r"margin = 0.01: every law of the model is a point mass"):
        judged(exact, Points(), margin=0.01)
    with pytest.raises(InputError, match=r"tolerance = 0.1: .* has no effect on greedy decoding"):
        judged(exact, Points(), tolerance=0.1)


@pytest.mark.parametrize(
    ("subject", "options", "words"),
    [
        (exact, {"margin": 0.01, "tolerance": 0.1}, "tolerance = 0.1: .* has no effect on greedy decoding"),
        (exact, {"margin": 0.01, "rule": "mrs"}, "rule = 'mrs': greedy decoding is judged by its tokens"),
        (exact, {"margin": -1.0}, "margin = -1"),
        (exact, {"margin": float("nan")}, "margin = nan"),
        (
            kernel(lambda target_probs, draft_probs, draft_tokens, generator: None),
            {"margin": 0.0},
            "a kernel is judged",
        ),
    ],
)
def test_what_has_no_effect_on_greedy_decoding_is_refused(subject, options, words):
    with pytest.raises(InputError, match=words):
        judged(subject, **options)


def test_stored_greedy_sequences_need_a_model():
    stored = recorded(rounded(None, 2, 0))
    assert judged(stored, margin=0.01).outcome is Outcome.INCONCLUSIVE  # two sequences resolve little
    with pytest.raises(InputError, match=r"margin = 0.01: greedy decoding is judged by a model, and none was given"):
        judged(stored, None, margin=0.01)


def test_the_command_line_takes_a_margin(monkeypatch, capsys):
    name = f"{__name__}:rounded"
    model = f"{__name__}:MODEL"
    for margin, outcome in (("0.01", "NOT_REFUTED"), ("0.004", "REFUTED")):
        status, line = run_command(["audit", name, "--model", model, "--margin", margin])
        assert (status, line) == (EXIT_STATUS[outcome], None)
        assert "Greedy: of 80 tokens" in capsys.readouterr().out
