"""Batches drawn side by side: the verdict of one job and of several, whoever draws and whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest

from reference import TabularModel, decode
from reference.broken import get_fault
from scd_analysis import Outcome, audit
from scd_analysis.audit import ahead
from scd_analysis.audit.ahead import ROUNDS_HELD
from scd_analysis.common import parallel
from scd_analysis.errors import InputError
from scd_analysis.subjects import ancestral, made_by, recorded
from tests.statistics import ledger

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata")
"""Of a writer on a thread: what it ignores itself may be forgotten where other threads do so at the same time."""

MODEL = TabularModel.random(3, 4, 0.7, seed=1)
FAULT = get_fault("drop-residual")
STANDS = ledger("jobs: lossless subjects are not refuted at 1e-8", 3e-8)


def sjd(model, num_sequences, seed):
    return decode(model, "sjd", 3, num_sequences, seed, record=None, progress=False).tokens


def made():
    return lambda model, num_sequences, seed: sjd(MODEL, num_sequences, seed)


def nothing_made():
    return 3


def said(subject, model, jobs, most=600, **options):
    verdict = audit(subject, model, 1e-8, most, progress=False, jobs=jobs, **options)
    return json.loads(verdict.to_json())


@pytest.fixture
def threads():
    with joblib.parallel_config(backend="threading"):
        yield


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subject", "model", "outcome"),
    [
        (sjd, MODEL, Outcome.NOT_REFUTED),
        (FAULT.traced(FAULT.window), FAULT.model(), Outcome.REFUTED),
    ],
    ids=["lossless tokens", "a fault's traces"],
)
def test_the_verdict_does_not_depend_on_the_number_of_jobs(subject, model, outcome, threads):
    found = [said(subject, model, jobs, 20_000 if outcome is Outcome.REFUTED else 1_500) for jobs in (1, 3)]
    assert found[0] == found[1]
    assert found[0]["outcome"] == outcome.name
    assert set(found[0]["record"]["batch_plan"][:-1]) == {64}


def first_killed(mark, model, num_sequences, seed):
    """A subject whose first worker is killed in its second batch."""
    if os.getpid() != int(mark.read_text()) and not mark.with_suffix(".done").exists():
        mark.with_suffix(".done").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return sjd(model, num_sequences, seed)


@pytest.mark.slow
def test_the_verdict_does_not_depend_on_processes_nor_on_one_that_is_killed(tmp_path: Path):
    mark = tmp_path / "mark"
    mark.write_text(str(os.getpid()))
    alone = said(sjd, MODEL, 1)
    assert said(sjd, MODEL, 2) == alone
    assert said(made_by(f"{__name__}:made"), MODEL, 2) == alone
    assert said(partial(first_killed, mark), MODEL, 2) == alone
    assert mark.with_suffix(".done").exists()


def always_killed(keeper, model, num_sequences, seed):
    if os.getpid() != keeper:
        os.kill(os.getpid(), signal.SIGKILL)
    return sjd(model, num_sequences, seed)


@pytest.mark.slow
def test_workers_that_are_killed_again_and_again_are_said(monkeypatch):
    """Once, where that is the limit; ``tests/common/test_parallel.py`` has how often it takes."""
    for module in (parallel, ahead):
        monkeypatch.setattr(module, "DEATHS", 1)
    with pytest.raises(InputError, match="workers that drew it were killed 1 times"):
        said(partial(always_killed, os.getpid()), MODEL, 2)


CALLS: list[int] = []
"""Seeds that the functions below were called with; it does not travel, so that these are drawn from on threads."""


def interrupted(model, num_sequences, seed):
    CALLS.append(seed)
    if len(CALLS) == 6:
        raise KeyboardInterrupt
    return sjd(model, num_sequences, seed)


def constant(model, num_sequences, seed):
    CALLS.append(seed)
    return np.zeros((num_sequences, model.num_tokens), dtype=np.int64) + seed % 2


@pytest.mark.slow
def test_what_was_drawn_is_kept_and_an_audit_goes_on_with_other_jobs(tmp_path: Path, threads):
    CALLS.clear()
    whole = said(sjd, MODEL, 1)
    with pytest.raises(KeyboardInterrupt):
        said(interrupted, MODEL, 1, checkpoint=tmp_path)
    kept = len(list(tmp_path.glob("batch-*.zarr")))
    assert kept == len(CALLS) - 1 == 5
    assert said(interrupted, MODEL, 2, checkpoint=tmp_path) == whole
    assert len(CALLS) - 6 == len(whole["record"]["batch_plan"]) - kept


@pytest.mark.slow
def test_an_audit_goes_on_from_stored_batches_that_are_smaller(tmp_path: Path, threads):
    said(sjd, MODEL, None, 100, checkpoint=tmp_path)
    found = said(sjd, MODEL, 2, 300, checkpoint=tmp_path)
    assert found["num_sequences"] == 300
    assert found["outcome"] == "NOT_REFUTED" or found["missing"]


def test_little_is_drawn_beyond_what_decides(threads):
    CALLS.clear()
    verdict = audit(constant, MODEL, progress=False, jobs=2)
    assert verdict.outcome is Outcome.REFUTED
    assert len(CALLS) <= len(verdict.record["batch_plan"]) + 2 * ROUNDS_HELD


def refuses(model, num_sequences, seed):
    if seed % 3:
        raise ValueError("no more")
    return sjd(model, num_sequences, seed)


@pytest.mark.parametrize(
    ("subject", "jobs", "message"),
    [
        (sjd, 0, "jobs = 0: must be at least 1"),
        (refuses, 2, r"subject\(model, 64, \d+\) raised ValueError: no more"),
        (made_by(f"{__name__}:nothing_made"), 2, r"nothing_made\(\) returned a int: a subject is callable"),
    ],
)
def test_what_cannot_be_drawn_so_is_said(subject, jobs, message, threads):
    with pytest.raises(InputError, match=message):
        said(subject, MODEL, jobs)


class Counting:
    def __init__(self):
        self.drawn = []

    def __call__(self, model, num_sequences, seed):
        self.drawn.append(num_sequences)
        return sjd(model, num_sequences, seed)

    def lacking(self):
        return ("drafts: none was counted",) if not self.drawn else ()


def test_a_subject_that_keeps_count_is_drawn_from_in_this_process():
    subject = Counting()
    assert said(subject, MODEL, 2) == said(Counting(), MODEL, 1)
    assert sum(subject.drawn) == 600


def test_a_subject_that_cannot_be_sent_is_told_the_remedy(threads):
    lock = threading.Lock()

    def locked(model, num_sequences, seed):
        with lock:
            return sjd(model, num_sequences, seed)

    with pytest.raises(InputError, match=r"cannot be sent to a worker .*made_by"):
        said(locked, MODEL, 2)


@pytest.mark.slow
def test_stored_sequences_are_judged_as_without_jobs():
    tokens = ancestral(MODEL, 300, 0)
    assert said(recorded(tokens), MODEL, 2, None) == said(recorded(tokens), MODEL, None, None)
