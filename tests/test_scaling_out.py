"""The simulation of many workers and judges, where its answer is known; and several judges of one decoder."""

import math

import numpy as np
import pytest

from reference.broken import get_fault
from scd_analysis.audit.ahead import ROUNDS_HELD
from studies import power
from studies.scaling import finish, needed, slowed
from studies.store import load

DRAWS = np.random.default_rng(0).exponential(size=600).tolist()


def test_one_worker_takes_the_sum():
    assert finish(DRAWS, 1) == pytest.approx(math.fsum(DRAWS))


def test_without_stragglers_and_judge_workers_divide_the_time():
    for workers in (1, 2, 5, 10, 100):
        assert finish([3.0] * 100, workers) == pytest.approx(300 / workers)
    assert finish([3.0] * 100, 1_000) == 3  # a task is not divided
    assert finish([3.0] * 101, 100) == 6


def test_a_judge_is_a_ceiling():
    """However many draw: a judge looks at one after the other, and begins when the first is there."""
    assert finish([1.0] * 100, 1_000, judge=0.5) == pytest.approx(1 + 100 * 0.5)
    assert finish([1.0] * 100, 2, judge=0.5) == pytest.approx(50 + 0.5 * 2)  # just as fast as two draw
    assert finish(DRAWS, 1, judge=1e-9) == pytest.approx(math.fsum(DRAWS))
    for workers in (1, 7, 600):
        assert finish(DRAWS, workers, judge=2.0) >= 2.0 * len(DRAWS)


def test_judges_divide_what_is_judged():
    assert finish([1.0] * 100, 1_000, judge=0.5, judges=4) == pytest.approx(1 + 25 * 0.5)
    assert finish([1.0] * 100, 10, judges=10) == finish([1.0] * 100, 10)


def test_what_is_drawn_waits_for_the_judge_up_to_a_number():
    """A first task that straggles keeps the judge waiting, and then the workers: the twin has no judge."""
    draws = [1_000.0] + [1.0] * 100
    assert finish(draws, 2) == 1_000
    held = 1 + len(draws) - ROUNDS_HELD * 2
    assert finish(draws, 2, judge=1e-6) == pytest.approx(1_000 + math.ceil(held / 2), abs=2)


def test_a_straggler_is_as_much_slower_as_it_says():
    rng = np.random.default_rng(0)
    found = slowed(np.ones(10_000), 0.02, 4.0, rng)
    assert set(found) == {1.0, 4.0}
    assert 100 < (found == 4).sum() < 300  # 200 expected: fixed by its seed
    assert finish(found.tolist(), 10_000) == 4


def test_several_judges_need_more_sequences():
    """Each learns anew; a right decoder is refuted by none of them (the twin, at its first sequences)."""
    name = "residual-from-target"
    (law,) = (row for row in load("exact_laws")["rows"] if row["fault"] == name)
    model, subject = get_fault(name).model(), power.sampler(law)
    alone, four = (needed(subject, model, judges, seed=0) for judges in (1, 4))
    assert alone < four < 4 * alone
    assert four % 4 == 0


def test_a_right_decoder_is_not_refuted_by_several(monkeypatch):
    name = "residual-from-target"
    (law,) = (row for row in load("exact_laws")["rows"] if row["fault"] == name)
    right = {**law, "law": law["target"]}
    monkeypatch.setattr("studies.scaling.LIMIT", 2_000)
    monkeypatch.setattr("studies.scaling.ALPHA", 1e-9)
    assert needed(power.sampler(right), get_fault(name).model(), 4, seed=0) == 2_000
