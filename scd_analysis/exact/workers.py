"""Several processes: the first branches are run here, the rest is dealt out by joblib, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle
import torch
from joblib.externals.loky import BrokenProcessPool
from joblib.parallel import SequentialBackend, get_active_backend

from scd_analysis.common.parallel import side_by_side, that_travels
from scd_analysis.errors import CannotEnumerate, InputError
from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.explore import Explorer, Limits, RunOnce, Tally
from scd_analysis.exact.interception import intercepted, watched
from scd_analysis.exact.progress import Report
from scd_analysis.exact.tree import Pending

SHARE = 16
"""Branches for each process before the work is dealt out."""

_TURN = 5.0  # seconds until what is left is dealt out anew, so that no process is idle for long

MakeRunner = Callable[[Any, bool], RunOnce]


@dataclass(frozen=True, slots=True)
class _Settings:
    """What of PyTorch's state belongs to the caller's thread, and decides what code computes."""

    dtype: torch.dtype
    device: str
    inference: bool
    grad: bool
    autocast: torch.dtype | None

    @classmethod
    def now(cls) -> _Settings:
        return cls(
            torch.get_default_dtype(),
            str(torch.get_default_device()),
            torch.is_inference_mode_enabled(),
            torch.is_grad_enabled(),
            torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None,
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        dtype = torch.get_default_dtype()
        with ExitStack() as stack:
            stack.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(self.dtype)
            stack.enter_context(torch.inference_mode(self.inference))
            stack.enter_context(torch.set_grad_enabled(self.grad))
            if self.device != "cpu":
                stack.enter_context(torch.device(self.device))
            if self.autocast is not None:
                stack.enter_context(torch.autocast("cpu", dtype=self.autocast))
            yield


@dataclass(frozen=True, slots=True)
class _Task:
    """A share of the branches, with all that a process needs to run them."""

    sampler: bytes
    runner: MakeRunner
    limits: Limits
    intercept: bool
    settings: _Settings
    branches: tuple[Pending, ...]


@dataclass(frozen=True, slots=True)
class _Done:
    """What has come of a share, as plain numbers, and the branches that are left of it."""

    masses: list[tuple[Hashable, list[Number]]]
    branches: int
    left_out: list[Number]
    slack: float
    notes: set[str]
    rest: list[Pending]

    def add_to(self, tally: Tally) -> None:
        for outcome, parts in self.masses:
            tally.add(outcome, parts)
        for part in self.left_out:
            tally.left_out.add(part)
        tally.branches += self.branches
        tally.slack = max(tally.slack, self.slack)
        tally.notes |= self.notes


def processes_wanted(workers: int) -> bool:
    """Tell whether to deal work out; not where joblib's own choice is to run it here, as inside one of its workers.

    Raises
    ------
    InputError
        If joblib was told to use threads: draws are intercepted in a whole process, so two threads cannot share one.
    """
    backend, _ = get_active_backend()
    if workers == 1 or isinstance(backend, SequentialBackend):
        return False
    if getattr(backend, "uses_threads", False):  # only backends of threads have it, and joblib asks so too
        raise InputError(
            f"workers = {workers}: joblib uses threads here ({type(backend).__name__}), but draws are intercepted "
            'in a whole process; choose processes, as by joblib.parallel_config(backend="loky"), or pass workers=1'
        )
    return True


def packed(sampler: Any) -> bytes:
    """Pickle a sampler for other processes.

    Raises
    ------
    InputError
        If it cannot be pickled.
    """
    try:
        return cloudpickle.dumps(sampler)  # type: ignore[no-any-return]
    except Exception as error:
        raise InputError(
            f"sampler cannot be sent to other processes ({type(error).__name__}: {error}): let it make files, locks, "
            "connections and generators inside of itself, or pass workers=1"
        ) from error


def explore_in_processes(
    explorer: Explorer,
    sampler: bytes,
    runner: MakeRunner,
    limits: Limits,
    workers: int,
    intercept: bool,
    deadline: float,
    report: Report,
) -> None:
    """Finish an exploration with ``workers`` processes; what a budget leaves stays with the explorer.

    Raises
    ------
    CannotEnumerate
        If a process meets something that cannot be enumerated, or ends without a result.
    """
    settings = _Settings.now()
    while explorer.waiting:
        seconds = deadline - time.monotonic()
        left = None if limits.max_branches is None else limits.max_branches - explorer.tally.branches
        if seconds <= 0 or left == 0:
            return
        turn = limits if limits.max_seconds is None else replace(limits, max_seconds=seconds)
        tasks = [
            _Task(sampler, runner, replace(turn, max_branches=budget), intercept, settings, tuple(branches))
            for branches, budget in _dealt(explorer.take_all(), workers, left)
        ]
        for done in _answers(tasks, workers):
            done.add_to(explorer.tally)
            explorer.put(done.rest)
        report(explorer.tally.branches, explorer.waiting)


def _dealt(branches: list[Pending], workers: int, left: int | None) -> list[tuple[list[Pending], int | None]]:
    """Deal branches out, and what is left of a budget of branches."""
    hands = min(workers, len(branches)) if left is None else min(workers, len(branches), left)
    budgets = [None if left is None else left // hands + (place < left % hands) for place in range(hands)]
    return [(branches[place::hands], budget) for place, budget in enumerate(budgets)]


def _answers(tasks: Sequence[_Task], workers: int) -> list[_Done]:
    try:
        answers = [cloudpickle.loads(answer) for answer in side_by_side(_work, tasks, workers, ordered=True)]
    except BrokenProcessPool as error:
        raise CannotEnumerate(
            f"a process ended without a result: the sampler ended it, or memory ran out ({error}); try workers=1"
        ) from error
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


def _work(task: _Task) -> bytes:
    """Run a share of the branches for one turn, in another process; errors come back as what they are."""
    try:
        answer: Any = _explored(task)
    except BaseException as error:  # not raised here: of several, the caller raises the first, always the same
        answer = that_travels(error)
    try:
        content = cloudpickle.dumps(answer)
        cloudpickle.loads(content)
    except Exception as error:
        lost = InputError(f"an outcome cannot be sent from process to process ({error}); pass workers=1")
        content = cloudpickle.dumps(lost)
    return content  # type: ignore[no-any-return]


def _explored(task: _Task) -> _Done:
    try:
        sampler = cloudpickle.loads(task.sampler)
    except Exception as error:
        raise InputError(
            f"sampler cannot be loaded in another process ({type(error).__name__}: {error}); pass workers=1"
        ) from error
    end = time.monotonic() + _TURN
    guard = intercepted if task.intercept else watched
    with task.settings.applied(), guard() as watch:
        explorer = Explorer(task.runner(sampler, task.limits.rational), task.limits, watch.check)
        explorer.take_all()
        explorer.put(task.branches)
        explorer.run(lambda: time.monotonic() > end)
    tally = explorer.tally
    masses = [(outcome, mass.parts()) for outcome, mass in tally.masses.items()]
    return _Done(masses, tally.branches, tally.left_out.parts(), tally.slack, tally.notes, explorer.take_all())
