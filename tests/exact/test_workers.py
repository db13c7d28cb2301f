"""Work dealt out to several processes: the same law, the same errors, the same bounds; and samplers that do not end."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from scd_analysis.errors import InputError
from scd_analysis.exact import CannotEnumerate, Loop, exact_law
from scd_analysis.exact.tree import Fork, Pending


def coins(folder: Path, count: int = 7) -> Callable[[], tuple[bool, ...]]:
    """A sampler that leaves the number of its process behind; a closure, as pickle alone does not take."""

    def sampler() -> tuple[bool, ...]:
        (folder / str(os.getpid())).touch()
        return tuple((torch.rand(count, dtype=torch.float64) < 0.3).tolist())

    return sampler


@pytest.mark.slow
def test_several_processes_work_and_give_the_same_law(tmp_path: Path) -> None:
    alone, together = exact_law(coins(tmp_path)), exact_law(coins(tmp_path), workers=2)
    others = {path.name for path in tmp_path.iterdir()} - {str(os.getpid())}
    assert len(others) == 2
    assert together.branches == alone.branches == 128
    assert together.probabilities == alone.probabilities
    assert together.notes == alone.notes


@pytest.mark.slow
def test_budgets_hold_for_all_processes_together(tmp_path: Path) -> None:
    law = exact_law(coins(tmp_path), workers=2, max_branches=101)
    assert len(list(tmp_path.iterdir())) > 1
    assert law.branches == 101
    assert 0 < law.unexplored_mass < 0.1
    assert sum(law.probabilities.values()) + law.unexplored_mass == pytest.approx(1, abs=1e-12)
    floored, alone = (exact_law(coins(tmp_path), workers=workers, mass_floor=1e-3) for workers in (2, 1))
    assert floored.branches == alone.branches
    assert floored.unexplored_mass == pytest.approx(alone.unexplored_mass, abs=1e-15)


@pytest.mark.slow
def test_time_holds_for_processes_and_a_loop_without_end_is_left(tmp_path: Path) -> None:
    def sampler() -> tuple[bool, ...]:
        found = coins(tmp_path)()
        while found[-2:] == (True, True):
            time.sleep(0.01)
        return found

    exact_law(coins(tmp_path), workers=2)  # so that processes have started
    started = time.monotonic()
    law = exact_law(sampler, workers=2, max_seconds=3)
    assert time.monotonic() - started < 60
    assert law.unexplored_mass >= 0.09 - 1e-12
    assert sum(law.probabilities.values()) + law.unexplored_mass == pytest.approx(1, abs=1e-12)


def test_rational_laws_are_exact_in_processes(tmp_path: Path) -> None:
    def sampler(draws: Any) -> int:
        (tmp_path / str(os.getpid())).touch()
        return sum(draws.bernoulli(("coin", k), Fraction(1, 3)) for k in range(7))

    law = exact_law(sampler, workers=2, arithmetic="rational", intercept=False)
    assert len(list(tmp_path.iterdir())) >= 2  # this process, and at least one that work was dealt to
    assert law[7] == Fraction(1, 3) ** 7
    assert sum(law.probabilities.values()) == 1


@pytest.mark.slow
def test_the_modes_of_the_caller_hold_in_the_processes(tmp_path: Path) -> None:
    def sampler() -> tuple[Any, ...]:
        state = torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"), str(torch.get_default_dtype())
        return *state, *coins(tmp_path)()

    with torch.inference_mode(), torch.autocast("cpu"):
        torch.set_default_dtype(torch.float64)
        try:
            law = exact_law(sampler, workers=2)
        finally:
            torch.set_default_dtype(torch.float32)
    assert {outcome[:3] for outcome in law.probabilities} == {(True, True, "torch.float64")}


@pytest.mark.slow
def test_a_refusal_in_a_process_is_a_refusal() -> None:
    def sampler() -> Any:
        u = torch.rand(10)
        return bool(u[0] * u[1] * u[2] < 0.5) if not any((u[3:] < 0.5).tolist()) and os.getpid() != here else 0

    here = os.getpid()
    with pytest.raises(CannotEnumerate, match=r"product of two variates at .*test_workers\.py"):
        exact_law(sampler, workers=2)


@pytest.mark.slow
def test_the_samplers_own_error_keeps_its_words(tmp_path: Path) -> None:
    class Unpicklable(Exception):  # noqa: N818 -- an error of other people's
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"{a} and {b}")

    def raising(error: Callable[[], Exception]) -> Callable[[], Any]:
        def sampler() -> Any:
            found = coins(tmp_path)()
            if all(found):
                raise error()
            return found

        return sampler

    with pytest.raises(KeyError, match="its own words") as caught:
        exact_law(raising(lambda: KeyError("its own words")), workers=2)
    assert "branch of probability 0.0002" in "".join(caught.value.__notes__)
    with pytest.raises(RuntimeError, match="Unpicklable: 3 and 4"):
        exact_law(raising(lambda: Unpicklable(3, 4)), workers=2)


@pytest.mark.slow
def test_a_sampler_that_ends_its_process_is_noticed(tmp_path: Path) -> None:
    here = os.getpid()

    def sampler() -> Any:
        found = coins(tmp_path)()
        if os.getpid() != here:
            os._exit(0)
        return found

    with pytest.raises(CannotEnumerate, match="ended without a result"):
        exact_law(sampler, workers=2)


def test_what_cannot_be_pickled_is_told() -> None:
    lock = threading.Lock()

    def sampler() -> bool:
        with lock:
            return bool(torch.rand(()) < 0.5)

    with pytest.raises(InputError, match=r"cannot be sent to other processes .*lock.*workers=1"):
        exact_law(sampler, workers=2)
    assert exact_law(sampler)[True] == 0.5


def test_the_callers_choice_of_backend_is_honoured(tmp_path: Path) -> None:
    with joblib.parallel_config(backend="threading"), pytest.raises(InputError, match="ThreadingBackend"):
        exact_law(coins(tmp_path), workers=2)
    assert not list(tmp_path.iterdir())
    with joblib.parallel_config(backend="sequential"):
        assert exact_law(coins(tmp_path), workers=2).branches == 128
    assert [path.name for path in tmp_path.iterdir()] == [str(os.getpid())]


def test_long_paths_pickle() -> None:
    fork, depth = None, 5_000
    for level in range(depth):
        fork = Fork(("interval", level), (0.25, 0.75), fork, level % 2)
    path = Pending(0.5, fork, 1)
    again = pickle.loads(pickle.dumps(path))
    assert again.mass == path.mass
    assert [(f.question, f.probabilities, b) for f, b in again.script()] == [
        (f.question, f.probabilities, b) for f, b in path.script()
    ]


def loops() -> int:
    found, n = bool(torch.rand(()) < 0.25), 0
    while found:
        n += 1
    return n


def waits() -> int:
    if np.random.random() < 0.25:  # noqa: NPY002 -- other people's code
        threading.Event().wait()
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [loops, waits])
def test_a_sampler_without_end_is_interrupted(sampler: Callable[[], int]) -> None:
    law = exact_law(sampler, max_seconds=0.5)
    assert law.probabilities == {0: 0.75}
    assert law.unexplored_mass == 0.25


@pytest.mark.slow
def test_a_loop_without_end_is_interrupted() -> None:
    def step(state: int, draws: Any) -> int:
        while state == 1 and draws.bernoulli(state, 0.5):
            time.sleep(0.01)
        return state + 1

    started = time.monotonic()
    law = exact_law(Loop(lambda: 0, step, lambda state: state if state == 2 else None), max_seconds=0.5)
    assert time.monotonic() - started < 30
    assert law.unexplored_mass >= 0.5
    assert sum(law.probabilities.values()) + law.unexplored_mass == 1
