"""A small part of the lane, and whether the lane can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scd_analysis import Outcome, Verdict
from tests.fuzz import subjects, traces
from tests.fuzz.__main__ import table
from tests.fuzz.case import Case
from tests.fuzz.command import check_status
from tests.fuzz.kinds import KINDS, jobs_of
from tests.fuzz.markup import new_markup
from tests.fuzz.pages import SCRIPT
from tests.fuzz.pool import Job, run_all

PLANTED = {
    "right": "",
    "raises": "KeyError",
    "leaves": "ended the process with 0",
    "waits": "did not come back within 5 s",
    "hoards": "MemoryError",
    "says_nothing": "has 0 characters",
}

CASES = {
    "traces": 5, "flips": 1, "recorded": 8, "verdicts": 8, "checkpoints": 1, "pages": 1, "subjects": 1, "datasets": 2,
    "later": 1, "models": 4, "returned": 4, "kernels": 1, "samplers": 2, "written": 2, "words": 2,
}  # fmt: skip
"""Some 30 s on one core."""


@pytest.mark.slow
def test_what_the_lane_looks_for_it_finds(tmp_path):
    jobs = [Job(name, f"tests.fuzz.planted:{name}", 0, 0, True) for name in PLANTED]
    found = {result.job.kind: result.problems for result in run_all(jobs, tmp_path, 1, imported=(), limit=5)}
    for name, problem in PLANTED.items():
        if problem:
            assert any(problem in each for each in found[name]), (name, found[name])
        else:
            assert not found[name]


@pytest.mark.slow
def test_a_small_part_of_the_lane(tmp_path):
    jobs = [job for kind, count in CASES.items() for job in jobs_of((kind,), 0, 1.0) if job.number < count]
    results = list(run_all(jobs, tmp_path, 1))
    bad = [f"{result.again}: {result.description}: {result.problems}" for result in results if result.problems]
    assert not bad, "\n".join([table(results), *bad])
    assert len(results) == sum(CASES.values())


def test_a_case_is_the_same_every_time(tmp_path):
    first, again, other = (Case("traces", 0, n, tmp_path).rng.random() for n in (1, 1, 2))
    assert first == again != other
    assert {job.kind for job in jobs_of((), 0, 1.0)} == set(KINDS)
    assert len(subjects.attacks()) > 600


SIDES = [
    ("NOT_REFUTED", "REFUTED", False, "a lossless record that was damaged is REFUTED"),
    ("NOT_REFUTED", "REFUTED", True, ""),
    ("REFUTED", "NOT_REFUTED", False, "a fault that is still recorded is NOT_REFUTED"),
    ("REFUTED", "INCONCLUSIVE", False, ""),
    ("INCONCLUSIVE", "NOT_REFUTED", False, ""),
]


@pytest.mark.parametrize(("before", "after", "may_refute", "problem"), SIDES)
def test_a_verdict_that_changes_sides_is_seen(before, after, may_refute, problem):
    case = Case("traces", 0, 0, Path())
    verdict = Verdict(Outcome[after], 0.0, 1e-6, 64, 256, 0.1, (), {})
    traces.judge(case, verdict, before, stays=True, may_refute=may_refute)
    assert problem in "".join(case.problems)
    assert bool(case.problems) == bool(problem)


VERDICT = json.dumps({"outcome": "NOT_REFUTED"})
STATUSES = [
    (0, VERDICT, "", ""),
    (2, "", "scd-analysis: no\n", ""),
    (3, VERDICT, "", "status 3 with NOT_REFUTED"),
    (0, "", "", "status 0 without a verdict"),
    (1, "", "Traceback", "status 1 without a verdict"),
    (2, "", "Traceback\nOdd\n", "status 2 with 2 lines"),
    (2, "", "", "status 2 with 0 lines"),
    (2, "", "\x1b[31m\n", "control character"),
    (-9, "", "", "status -9"),
]


@pytest.mark.parametrize(("status", "out", "err", "problem"), STATUSES)
def test_a_status_that_lies_is_seen(status, out, err, problem):
    case = Case("subjects", 0, 0, Path())
    check_status(case, status, out, err)
    assert problem in "".join(case.problems)
    assert bool(case.problems) == bool(problem)


def test_markup_that_nobody_wrote_is_seen():
    assert not new_markup("<html><script>a</script><a href='#x'>b</a>&lt;img onerror=1&gt;</html>")
    for bad in ("<img src=x>", "<p onclick=1>", "<a href='java\nscript:1'>", "<script></script>" * 4):
        assert new_markup(f"<html>{bad}</html>")


def test_a_link_to_a_script_is_seen_and_an_escaped_one_is_none():
    for bad in ("[x](javascript:1)", "[x\\\\](javascript:1)", "[x]( JavaScript:1)", "[x](<javascript:1>)"):
        assert SCRIPT.search(bad)
    for right in ("[x\\](javascript:1)", "[x\\\\\\](javascript:1)", "[x](https://a)", "javascript:1"):
        assert not SCRIPT.search(right)
