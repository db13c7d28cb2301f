"""Side by side: really in processes, results as they come, errors of their kind, a user's backend honoured."""

from __future__ import annotations

import os
import threading
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import joblib
import pytest
import torch
from joblib.parallel import LokyBackend

from scd_analysis.common import parallel
from scd_analysis.common.parallel import side_by_side
from scd_analysis.errors import InputError


class TakesTwo(Exception):  # noqa: N818 -- an error of other people's, which pickle does not bring back
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")
        self.held = threading.Lock()  # Dask, where it is installed, teaches pickle all else


def meet(folder: Path, name: str) -> tuple[int, int]:
    """Wait for the other one, which works at the same time or never comes."""
    (folder / name).touch()
    end = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    return os.getpid(), torch.get_num_threads()


@pytest.mark.slow
def test_two_jobs_are_two_processes_on_one_thread_each(tmp_path: Path) -> None:
    places = list(side_by_side(lambda name: meet(tmp_path, name), ["a", "b"], 2))
    assert len({process for process, _ in places} - {os.getpid()}) == 2
    assert {threads for _, threads in places} == {1}


def test_results_come_as_they_are_done_or_in_order(tmp_path: Path) -> None:
    def waits(number: int) -> int:
        end = time.monotonic() + 60
        while number == 0 and not (tmp_path / "seen").exists() and time.monotonic() < end:
            time.sleep(0.01)
        return number

    results = side_by_side(waits, range(3), 2)
    first = [next(results), next(results)]
    (tmp_path / "seen").touch()
    assert sorted(first) == [1, 2]
    assert list(results) == [0]
    assert list(side_by_side(lambda n: time.sleep(0.2 * (n == 0)) or n, range(5), 2, ordered=True)) == list(range(5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (InputError("tokens[0] = 7: its own words"), InputError, r"^tokens\[0\] = 7: its own words$"),
        (KeyboardInterrupt("its own words"), KeyboardInterrupt, "its own words"),
        (None, RuntimeError, "^TakesTwo: 3 and 4$"),
    ],
)
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_an_error_keeps_its_kind_and_its_words(
    error: BaseException | None, kind: type[BaseException], words: str, backend: str
) -> None:
    def fails(number: int) -> int:
        if number == 2:
            raise error or TakesTwo(3, 4)
        return number

    with joblib.parallel_config(backend=backend), pytest.raises(kind, match=words):
        list(side_by_side(fails, range(5), 2))


class AllAtOnce(LokyBackend):  # type: ignore[misc]
    """A backend that gives no result before it has all, as Ray's."""

    supports_return_generator = False


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sequential", "threading", AllAtOnce()])
@pytest.mark.parametrize("ordered", [False, True])
def test_the_callers_backend_is_honoured(backend: Any, ordered: bool) -> None:
    with joblib.parallel_config(backend=backend):
        places = list(side_by_side(lambda number: (number, os.getpid()), range(4), 2, ordered=ordered))
    assert sorted(number for number, _ in places) == [0, 1, 2, 3]
    assert (os.getpid() in {process for _, process in places}) == isinstance(backend, str)


def test_workers_that_are_there_reach_stores_as_the_caller_does_now(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")

    def found(_: int) -> tuple[int, Any]:
        from fsspec.config import conf

        return os.getpid(), conf.get("s3", {}).get("key")

    before = list(side_by_side(found, range(4), 2))
    monkeypatch.setitem(fsspec.config.conf, "s3", {"key": "of the caller"})
    after = list(side_by_side(found, range(4), 2))
    assert {key for _, key in before} == {None}
    assert {key for _, key in after} == {"of the caller"}
    assert {process for process, _ in after} & {process for process, _ in before}  # or this showed nothing


def test_one_at_a_time_comes_one_by_one_and_threads_are_given_back() -> None:
    done: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        results = side_by_side(done.append, range(3), 1)
        next(results)
        assert done == [0]
        assert list(results) == [None, None]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_stops_early_stops_the_others_without_a_word(tmp_path: Path) -> None:
    """Rarely loky's own thread looks for a task that was just taken back, and ends with a KeyError: not ours to say."""

    def runs(number: int) -> int:
        (tmp_path / str(os.getpid())).touch()
        time.sleep(60 * (number > 0))
        return number

    results = side_by_side(runs, range(4), 2)
    next(results)
    while len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.01)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        results.close()  # type: ignore[attr-defined]
    assert not said
    left, end = {int(path.name) for path in tmp_path.iterdir()}, time.monotonic() + 30
    while left and time.monotonic() < end:
        left = {process for process in left if Path(f"/proc/{process}").exists()}
        time.sleep(0.05)
    assert not left


@pytest.mark.parametrize(
    ("rounds", "asked", "dies"),
    [
        ([2, 1], [3, 1], False),
        ([0, 0, 1, 0, 2], [3, 3, 3, 2, 2], False),
        ([1, 0, 0], [3, 2, 2], True),
    ],
    ids=["once", "twice in a row, and again", "three times in a row"],
)
def test_workers_may_be_killed_so_many_times_in_a_row(monkeypatch, rounds, asked, dies):
    """Every round gives so many results and is killed then; what was not given is asked for again."""
    assert parallel.DEATHS == 3
    seen, coming = [], iter(rounds)

    def killed(function, tasks, jobs, **more):
        seen.append(len(tasks))
        given = next(coming)
        yield from map(function, tasks[:given])
        if given < len(tasks):
            raise parallel.WorkerKilled

    monkeypatch.setattr(parallel, "side_by_side", killed)
    found = []
    with pytest.raises(parallel.WorkerKilled) if dies else nullcontext():
        for result in parallel.outliving(str, range(3), 2):
            found.append(result)  # noqa: PERF402 -- one at a time, since the next may raise
    assert (found, seen) == (["0"] if dies else ["0", "1", "2"], asked)
