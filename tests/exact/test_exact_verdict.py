"""Verdicts by enumeration: as objects, as JSON, as pages and on the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reference import TabularModel, get_method
from reference.plain import PlainDecoder, plain_decoder
from scd_analysis import Outcome, exact_target_law, exact_verdict
from scd_analysis.errors import InputError
from scd_analysis.report import render
from scd_analysis.report.load import load_verdict, read_verdict

MODEL = TabularModel.random(vocab_size=2, num_tokens=2, concentration=0.7, seed=0)


def ancestral():
    tokens = torch.empty(1, 0, dtype=torch.long)
    for _ in range(2):
        law = MODEL.next_token_probs(tokens)[0, -1]
        tokens = torch.cat([tokens, torch.multinomial(law, 1)[None]], dim=1)
    return tuple(tokens[0].tolist())


def first_twice():
    return ancestral()[:1] * 2


@pytest.mark.slow
def test_a_right_sampler_is_exact_and_a_wrong_one_refuted():
    verdict = exact_verdict(ancestral, MODEL)
    assert (verdict.outcome, verdict.alpha, verdict.log_e_value) == (Outcome.EXACT, 0, 0)
    assert verdict.resolution < 1e-12
    wrong = exact_verdict(first_twice, MODEL)
    law = exact_target_law(MODEL)
    apart = sum(p for (a, b), p in law.items() if a != b)  # by hand: what cannot come any more
    assert wrong.outcome is Outcome.REFUTED
    assert wrong.record["total_variation"] == pytest.approx([apart, apart], abs=1e-12)
    assert wrong.findings[0].message.startswith("(")
    assert "off" not in wrong.sentence


@pytest.mark.slow
def test_a_loop_and_a_law_are_judged_too():
    loop = plain_decoder(MODEL, get_method("scd-mc"), 2, PlainDecoder)
    assert exact_verdict(loop, MODEL, arithmetic="rational").outcome is Outcome.EXACT
    assert exact_verdict(lambda: bool(torch.rand(()) < 0.25), {True: 0.25, False: 0.75}).outcome is Outcome.EXACT
    with pytest.raises(InputError, match="model: a int is neither a target model nor a law"):
        exact_verdict(ancestral, 3)


def test_what_was_left_out_may_decide():
    verdict = exact_verdict(ancestral, MODEL, max_branches=1)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.missing[0].startswith("branches of probability")


@pytest.mark.parametrize("sampler", [ancestral, first_twice])
def test_it_is_read_back_and_shown(sampler, tmp_path):
    verdict = exact_verdict(sampler, MODEL)
    again = read_verdict(json.loads(verdict.to_json()))
    assert (again.outcome, again.sentence) == (verdict.outcome, verdict.sentence)
    said = "is the target law" if sampler is ancestral else "is off its target law by a total variation of"
    for given in (verdict, again):
        assert said in render(given, title="mine")
    (tmp_path / "v.json").write_text(verdict.to_json().replace('"alpha": 0.0', '"alpha": 0.5'))
    with pytest.raises(InputError, match=r"alpha = 0.5: must be 0, since the law was enumerated"):
        load_verdict(tmp_path / "v.json")


@pytest.mark.slow
def test_the_command_line_judges_exactly(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from tests.exact.test_exact_verdict import MODEL as model, ancestral, first_twice\n"
    )
    for name, status, word in (("ancestral", 0, "EXACT"), ("first_twice", 1, "REFUTED")):
        command = [sys.executable, "-m", "scd_analysis.cli", "exact", f"mine:{name}", "--model", "mine:model"]
        files = ["--out", str(tmp_path / f"{name}.json"), "--html", str(tmp_path / f"{name}.html")]
        where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run([*command, *files], cwd=tmp_path, env=where, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        assert done.stdout.startswith(f"{word}: total variation")
        assert load_verdict(tmp_path / f"{name}.json").outcome.name == word
        assert (tmp_path / f"{name}.html").exists()
