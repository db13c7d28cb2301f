"""Speculation on against speculation off: what is told apart, and who is to blame."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest

import scd_analysis
from scd_analysis import Outcome, audit_pair, subjects
from scd_analysis.errors import InputError
from scd_analysis.report import render
from scd_analysis.report.load import load_verdict, read_verdict
from tests.evidence.decoders import Longs, Tables, decode, random_tables
from tests.statistics import ledger

FALSE_ALARMS = ledger("pair: lossless arms are not refuted", 1e-6)  # ten pairs at 1e-7, five of them with a control
FINDS = ledger("pair: planted faults are refuted", 4e-6)  # six faults, three times their stopping times and more

LAW = random_tables(3, 4, 0.8, np.random.default_rng(3))
OTHER = random_tables(3, 4, 0.8, np.random.default_rng(4))
SHARP = random_tables(5, 4, 0.05, np.random.default_rng(6))  # most laws have nearly all mass on one token
ALPHA = 1e-7


def arm(fault: str | None = None, law: Tables = LAW, *, coupled: bool = True) -> Any:
    """Sequences by their own tables, whatever the model is."""

    def draw(model: Any, num_sequences: int, seed: int) -> Longs:
        return decode(law, num_sequences, np.random.default_rng(seed), fault=fault, coupled=coupled)

    return draw


class Counting:
    """An exact arm that counts how often it is called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Longs:
        self.calls += 1
        return decode(LAW, num_sequences, np.random.default_rng(seed))


def sharing(draw: Any, run: int) -> Any:
    """So many sequences in a row share a seed."""
    return lambda model, many, seed: draw(model, many, seed)[np.arange(many) // run * run]


@pytest.mark.slow
@pytest.mark.parametrize("law", [LAW, SHARP])
def test_exact_arms_that_draw_otherwise_are_not_refuted(law: Tables) -> None:
    verdict = audit_pair(arm(law=law), arm(law=law, coupled=False), alpha=ALPHA, max_sequences=1_000)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.record["path"]["taken"] == "two samples"
    assert verdict.num_sequences == 1_000
    assert 0.1 < verdict.resolution < 0.2
    assert 0 < verdict.equal_seeds[0] < verdict.equal_seeds[1] == 64


def test_equal_seeds_are_compared_token_for_token() -> None:
    verdict = audit_pair(arm(), arm())
    assert (verdict.outcome, verdict.record["path"]["taken"]) == (Outcome.NOT_REFUTED, "token for token")
    assert verdict.equal_seeds == (512, 512)
    assert verdict.resolution == pytest.approx(1 - 0.01 ** (1 / 512))
    assert "same tokens in every sequence" in str(verdict)


def test_arms_that_part_late_begin_anew() -> None:
    """Once a rare sequence differs, laws are compared, with draws of their own."""

    def rarely(model: Any, num_sequences: int, seed: int) -> Longs:
        tokens = arm()(model, num_sequences, seed)
        return (tokens + 1) % 3 if num_sequences > 64 else tokens

    verdict = audit_pair(rarely, arm(), max_sequences=600)
    assert verdict.equal_seeds[0] == 192
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.path[0][1] != 0


@pytest.mark.slow
def test_a_wrong_law_of_both_is_no_fault_of_speculation() -> None:
    """Without a model it cancels; with one the control tells."""
    arms = arm(law=OTHER), arm(law=OTHER, coupled=False)
    assert audit_pair(*arms, alpha=ALPHA, max_sequences=800).outcome is Outcome.NOT_REFUTED
    verdict = audit_pair(*arms, LAW, max_sequences=640)
    assert verdict.outcome is Outcome.CONTROL_REFUTED
    assert verdict.control is not None
    assert verdict.control.outcome is Outcome.REFUTED
    assert verdict.log_e_value < math.log(1e6)
    assert "not speculation" in verdict.sentence


@pytest.mark.parametrize("fault", ["truncated", "row-shifted", "first-untested", "half-context"])
def test_a_planted_fault_is_refuted(fault: str) -> None:
    """At alpha 1e-6; they take 80 to 272 pairs, and a thousand are allowed."""
    verdict = audit_pair(arm(fault), arm(coupled=False), max_sequences=1_000)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.findings[0].significant
    assert "speculation on" in str(verdict)


def test_a_fault_under_a_wrong_law_is_refuted_all_the_same() -> None:
    verdict = audit_pair(arm("argmax-draft", OTHER), arm(law=OTHER), LAW, max_sequences=1_500)
    assert verdict.outcome is Outcome.REFUTED
    assert [one.outcome for one in (verdict.control, verdict.speculation) if one] == [Outcome.REFUTED] * 2


def test_a_control_that_is_wrong_alone_is_refuted() -> None:
    verdict = audit_pair(arm(coupled=False), arm("half-context"), LAW, max_sequences=600)
    assert verdict.outcome is Outcome.CONTROL_REFUTED
    assert verdict.speculation is not None
    assert verdict.speculation.outcome is not Outcome.REFUTED


@pytest.mark.parametrize("run", [2, 8])
def test_a_shared_seed_with_speculation_on_is_refuted(run: int) -> None:
    verdict = audit_pair(sharing(arm(), run), arm(coupled=False), max_sequences=1_000)
    assert verdict.outcome is Outcome.REFUTED
    assert any("share a seed" in finding.message for finding in verdict.findings)


@pytest.mark.parametrize("run", [2, 8, 32, 10**6])
def test_a_seed_that_both_arms_share_refutes_the_control(run: int) -> None:
    """What neighbours share would otherwise be taken for a difference of the arms."""
    verdict = audit_pair(sharing(arm(), run), sharing(arm(coupled=False), run), max_sequences=1_000)
    assert verdict.outcome is Outcome.CONTROL_REFUTED
    assert "depend on their neighbours" in str(verdict)


def test_too_few_pairs_are_inconclusive() -> None:
    verdict = audit_pair(arm(), arm(coupled=False), max_sequences=64)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.missing[0].startswith("resolution: ")


def test_greedy_arms_are_compared_token_for_token() -> None:
    greedy = [Tables(tuple(np.eye(3)[rows.argmax(-1)] for rows in law.rows)) for law in (LAW, OTHER)]
    assert audit_pair(arm(law=greedy[0]), arm(law=greedy[0])).record["path"]["taken"] == "token for token"
    assert audit_pair(arm(law=greedy[0]), arm(law=greedy[1])).outcome is Outcome.REFUTED


def test_stored_sequences_are_arms() -> None:
    stored = [subjects.recorded(arm()(None, 800, seed)) for seed in (0, 1)]
    verdict = audit_pair(*stored, alpha=ALPHA)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert (verdict.num_sequences, verdict.equal_seeds) == (800, (0, 0))


def test_a_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    folder, counting = tmp_path / "kept", Counting()
    first = audit_pair(counting, arm(coupled=False), max_sequences=128, checkpoint=folder)
    drawn = counting.calls
    again = audit_pair(counting, arm(coupled=False), max_sequences=128, checkpoint=folder)
    assert counting.calls == drawn > 0
    assert again.log_e_value == first.log_e_value
    with pytest.raises(InputError, match="of another subject"):
        audit_pair(arm("truncated"), arm(coupled=False), max_sequences=128, checkpoint=folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"holds 'thesis\.txt'"):
        audit_pair(arm(), arm(), checkpoint=tmp_path / "mine")


def test_errors_name_the_arm() -> None:
    def short(model: Any, num_sequences: int, seed: int) -> Longs:
        return np.zeros((num_sequences, 3), dtype=np.int64)

    def stuck(model: Any, num_sequences: int, seed: int) -> Longs:
        return arm()(model, num_sequences, 0)

    def broken(model: Any, num_sequences: int, seed: int) -> Longs:
        raise RuntimeError("no such engine")

    with pytest.raises(InputError, match=r"on\(\.\.\.\) has shape \(64, 3\), off\(\.\.\.\) has \(64, 4\)"):
        audit_pair(short, arm())
    with pytest.raises(InputError, match=r"off\(model, \.\.\.\) begins with the same 64 sequences"):
        audit_pair(arm(), stuck)
    with pytest.raises(InputError, match=r"on\(model, 64, \d+\) raised RuntimeError: no such engine"):
        audit_pair(broken, arm())
    with pytest.raises(InputError, match=r"off = .*: a kernel has no second arm"):
        audit_pair(arm(), subjects.kernel(lambda draft_tokens, draft_probs, target_probs, generator: draft_tokens))
    with pytest.raises(InputError, match=r"on = .*: a kernel has no second arm"):
        audit_pair(SimpleNamespace(verify_tree=len), arm())
    with pytest.raises(InputError, match="alpha = 2"):
        audit_pair(arm(), arm(), alpha=2)


def test_a_verdict_is_read_back_and_shown(tmp_path: Path) -> None:
    verdict = audit_pair(arm(law=OTHER), arm(law=OTHER, coupled=False), LAW, max_sequences=640)
    (tmp_path / "v.json").write_text(verdict.to_json())
    read = load_verdict(tmp_path / "v.json")
    assert isinstance(read, scd_analysis.PairVerdict)
    assert str(read) == str(verdict)
    page = render(json.loads(verdict.to_json()), title="mine")
    for said in ("Control refuted", "mine is refuted with speculation off already", *verdict.notes()[:1]):
        assert said in page
    alone = {**json.loads(verdict.to_json()), "record": {}}
    with pytest.raises(InputError, match="only two arms"):
        read_verdict(alone)


def mixed(share: float) -> Any:
    """Every law of a third token is off by that total variation, at most."""

    def draw(model: Any, num_sequences: int, seed: int) -> Longs:
        rng = np.random.default_rng(seed)
        tokens = decode(LAW, num_sequences, rng, coupled=False)
        tokens[:, 2] = np.where(rng.random(num_sequences) < share, 2, tokens[:, 2])
        return tokens

    return draw


@pytest.mark.slow
@pytest.mark.parametrize(("share", "outcome"), [(0.03, Outcome.NOT_REFUTED), (0.9, Outcome.REFUTED)])
def test_arms_are_compared_up_to_epsilon(share: float, outcome: Outcome) -> None:
    """At alpha 1e-7; the larger one takes some 350 pairs, and the model's law may be off by as much."""
    options = {"alpha": ALPHA, "max_sequences": 2_000, "epsilon": 0.05, "resolution": 0.3}
    verdict = audit_pair(mixed(share), arm(coupled=False), LAW, **options)
    assert verdict.outcome is outcome
    assert verdict.control is not None
    assert verdict.control.epsilon == verdict.epsilon == 0.05
    assert (verdict.epsilon_refuted >= 0.05) == (outcome is Outcome.REFUTED)
    assert verdict.epsilon_refuted <= share
    assert "epsilon = 0.05" in verdict.sentence
    assert load_of(verdict) == verdict


def load_of(verdict: Any) -> Any:
    return read_verdict(json.loads(verdict.to_json()))


def test_the_size_of_a_difference_is_told_without_an_epsilon() -> None:
    """Below a truth of .8 or less; more than nothing, since a first token is in every pair."""

    def first(model: Any, num_sequences: int, seed: int) -> Longs:
        rng, tokens = np.random.default_rng(seed + 1), arm(coupled=False)(model, num_sequences, seed)
        tokens[:, 0] = np.where(rng.random(num_sequences) < 0.8, 2, tokens[:, 0])
        return tokens

    verdict = audit_pair(first, arm(coupled=False), max_sequences=600)
    assert verdict.outcome is Outcome.REFUTED
    assert 0 < verdict.epsilon_refuted <= 0.8
    assert f"further than {verdict.epsilon_refuted:g} from that in the other arm" in str(verdict)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_a_pair_does_not_depend_on_the_number_of_jobs() -> None:
    """Of arms that part late too: what was drawn ahead then is drawn anew, in the sizes of one job."""

    def rarely(model: Any, num_sequences: int, seed: int) -> Longs:
        tokens = arm()(model, num_sequences, seed)
        return (tokens + 1) % 3 if (seed % 5) == 0 else tokens

    with joblib.parallel_config(backend="threading"):
        for on in (arm(coupled=False), rarely):
            said = [audit_pair(on, arm(), LAW, alpha=ALPHA, max_sequences=300, jobs=jobs) for jobs in (1, 3)]
            assert said[0].to_json() == said[1].to_json()
            assert set(said[0].record["batch_plan"][:-1]) == {64}
