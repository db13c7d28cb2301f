"""Work side by side, through joblib: processes of its own, or whatever backend the caller has chosen."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any, Generic, TypeVar

import cloudpickle
import torch
from joblib import Parallel, delayed
from joblib.externals.loky import BrokenProcessPool
from joblib.parallel import SequentialBackend, get_active_backend

from scd_analysis.common.shipped import Search
from scd_analysis.common.urls import Stores

WorkerKilled = BrokenProcessPool
"""Raised where a process of this machine was killed: what it had not given is lost, and the pool can be used on."""

_DEATHS_ELSEWHERE = {
    "ray.exceptions": ("RayActorError", "WorkerCrashedError", "NodeDiedError"),
    "distributed.scheduler": ("KilledWorker",),
}

DEATHS = 3
"""Times in a row that workers may be killed before a result arrives."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def workers(jobs: int, *, ordered: bool = False) -> Parallel:
    """Give a pool to be entered and held, for a function that is to be called on several rounds of tasks.

    Parameters
    ----------
    jobs : int
        Tasks at a time.
    ordered : bool
        Whether results come in the order of their tasks.
    """
    how = ("generator" if ordered else "generator_unordered") if _streams() else "list"
    return Parallel(n_jobs=jobs, return_as=how, batch_size=1)


def _streams() -> bool:
    """Whether the backend in use gives results as they come."""
    backend, _ = get_active_backend()
    return isinstance(backend, SequentialBackend) or bool(backend.supports_return_generator)


def side_by_side(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    jobs: int,
    *,
    ordered: bool = False,
    pool: Parallel | None = None,
) -> Generator[Result, None, None]:
    """Give the results of a function as they come, several tasks at a time and each on one thread of PyTorch.

    Parameters
    ----------
    function : callable
        From a task to its result. It, the tasks and the results are pickled.
    tasks : iterable
        What to call it with.
    jobs : int
        Tasks at a time. ``joblib.parallel_config`` says where they run; from a backend that gives results all at once,
        such as ``multiprocessing``, they come at the end.
    ordered : bool
        Whether results come in the order of their tasks.
    pool : joblib.Parallel, optional
        Of :func:`workers`, entered, whose processes stay for the next round.

    Raises
    ------
    Exception
        What the function raises, of the same kind if it can be pickled, else a ``RuntimeError`` with its words. What
        was running is stopped then, and where the iteration is left early.

    Yields
    ------
    object
        A result of each task.
    """
    streams = _streams()
    pool = workers(jobs, ordered=ordered) if pool is None else pool
    results = pool(delayed(_alone)(Search(), Stores(), function, task) for task in tasks)
    try:
        for result in results:  # noqa: UP028 -- `yield from` would close them itself, and joblib's warning be heard
            yield result
    finally:
        if streams:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # joblib advises whoever stops early to ask for less
                results.close()


class Packed(Generic[Task, Result]):
    """A function that is sent to workers with every task, and unpacked once by each.

    Parameters
    ----------
    function : callable
        From a task to its result.

    Raises
    ------
    Exception
        If it cannot be sent.
    """

    def __init__(self, function: Callable[[Task], Result]) -> None:
        self._packed = cloudpickle.dumps(function)

    def __call__(self, task: Task) -> Result:
        """Call it."""
        result: Result = _unpacked(self._packed)(task)
        return result


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> Any:
    return cloudpickle.loads(packed)


def outliving(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int, *, pool: Parallel | None = None
) -> Generator[Result, None, None]:
    """As :func:`side_by_side`, in the order of the tasks; what a killed worker had not given is asked for again.

    Raises
    ------
    WorkerKilled
        If workers are killed :data:`DEATHS` times in a row.

    Yields
    ------
    object
        A result of each task.
    """
    given = deaths = 0
    while given < len(tasks):
        try:
            with closing(side_by_side(function, tasks[given:], jobs, ordered=True, pool=pool)) as coming:
                for result in coming:
                    given, deaths = given + 1, 0
                    yield result
        except Exception as error:
            if not _tells_of_a_death(error):
                raise
            deaths += 1
            if deaths == DEATHS:
                raise WorkerKilled(str(error)) from error
            if pool is not None and not _streams():  # Ray's pool keeps the dead; the others mend themselves
                pool.__exit__(None, None, None)
                pool.__enter__()


def _tells_of_a_death(error: Exception) -> bool:
    """Whether a worker is gone, and not what it ran has failed; of a backend that is not imported nothing can come."""
    kinds = [WorkerKilled]
    for module, names in _DEATHS_ELSEWHERE.items():
        kinds += [vars(sys.modules[module])[name] for name in names if module in sys.modules]
    return isinstance(error, tuple(kinds))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread: sums are then the same wherever they are made, and processes do not crowd."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def that_travels(error: BaseException) -> BaseException:
    """Give an error as it is, or as a ``RuntimeError`` with its words if it would not arrive from another process."""
    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _alone(_search: Search, _stores: Stores, function: Callable[[Task], Result], task: Task) -> Result:
    try:
        with one_thread():
            return function(task)
    except BaseException as error:  # KeyboardInterrupt and SystemExit too: the caller raises them again
        sent = that_travels(error)
        if sent is error:
            raise
        raise sent from error
