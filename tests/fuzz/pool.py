"""Cases in processes of their own: what hangs is ended, what dies is seen, memory is limited."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tests.fuzz.case import Case

MEMORY = 1536 * 2**20
"""Bytes beyond what the imports take."""

LIMIT = 200.0
"""Seconds by the clock for one door, on a busy machine; of computing, it has ``case.HANG``."""

START = 300.0
"""Seconds for a worker's imports, on a very busy machine."""

IMPORTED = ("matplotlib.pyplot", "torch", "zarr", "scd_analysis.report", "scd_analysis.figures.app", "reference")


@dataclass(frozen=True)
class Job:
    """Which case; ``kinds`` are ``module:function``."""

    kind: str
    where: str
    seed: int
    number: int
    limit_memory: bool


@dataclass
class Result:
    job: Job
    description: str = ""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def again(self) -> str:
        """The command that runs this case by itself."""
        return f"python -m tests.fuzz {self.job.kind} --seed {self.job.seed} --case {self.job.number}"


def run_case(job: Job, folder: Path, tell: Callable[[str], None]) -> Result:
    """Run one case here, in a folder of its own."""
    module, _, name = job.where.partition(":")
    case = Case(job.kind, job.seed, job.number, folder, tell)
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    attack = getattr(import_module(module), name)
    tell("")  # from here on, time counts
    attack(case)
    return Result(job, case.description, case.problems, time.monotonic() - begun)


def _serve(jobs: Connection, root: Path, imported: Iterable[str]) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    for module in imported:
        import_module(module)
    warnings.simplefilter("ignore")
    os.environ["SCD_FUZZ_ORIGINALS"] = str(root / "originals")
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    while (job := jobs.recv()) is not None:
        most = in_use + MEMORY + 2**30 if job.limit_memory else resource.RLIM_INFINITY  # threads' stacks, arenas
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
        _reset_peak()
        folder = root / f"{job.kind}-{job.seed}-{job.number}"
        try:
            result = run_case(job, folder, lambda text: jobs.send(text))
        except BaseException as error:
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            result = Result(job, "", [f"the case: {type(error).__name__}: {error} ({where.filename}:{where.lineno})"])
        if job.limit_memory and (grown := _peak() - _resident_at_start) > MEMORY:
            result.problems.append(f"took {grown / 2**20:.0f} MiB")
        shutil.rmtree(folder, ignore_errors=True)
        jobs.send(result)


_resident_at_start = 0


def _reset_peak() -> None:
    global _resident_at_start
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    _resident_at_start = _peak()


def _peak() -> int:
    """Largest resident size of this process since the last reset, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


class _Worker:
    def __init__(self, context: Any, root: Path, imported: Iterable[str]) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, root, imported), daemon=False)
        self.process.start()
        theirs.close()
        self.job: Job | None = None
        self.said: str | None = None
        self.since = time.monotonic()

    def give(self, job: Job | None) -> None:
        self.job, self.said, self.since = job, None, time.monotonic()
        self.pipe.send(job)

    def leave(self) -> None:
        """Ask it to go, and see that it does."""
        if not self.pipe.closed and self.job is None:
            self.pipe.send(None)
            self.process.join(10)
        self.end()

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run_all(
    jobs: Iterable[Job],
    root: Path,
    workers: int,
    *,
    imported: Iterable[str] = IMPORTED,
    limit: float = LIMIT,
) -> Iterator[Result]:
    """Run cases, several at a time; results come as they are done."""
    context = multiprocessing.get_context("spawn")
    waiting, crew = deque(jobs), [_Worker(context, root, imported) for _ in range(workers)]
    try:
        for worker in crew:
            if waiting:
                worker.give(waiting.popleft())
        while any(worker.job for worker in crew):
            ready = wait([worker.pipe for worker in crew if worker.job], timeout=1.0)
            for at, worker in enumerate(crew):
                if worker.job is None:
                    continue
                result = _heard(worker) if worker.pipe in ready else None
                if result is None and time.monotonic() - worker.since > (START if worker.said is None else limit):
                    result = Result(worker.job, worker.said or "", [f"did not come back within {limit:.0f} s"], limit)
                    worker.end()
                if result is None:
                    continue
                yield result
                worker.job = None
                if worker.process.exitcode is not None or worker.pipe.closed:
                    crew[at] = worker = _Worker(context, root, imported)
                if waiting:
                    worker.give(waiting.popleft())
    finally:
        for worker in crew:
            worker.leave()


def _heard(worker: _Worker) -> Result | None:
    assert worker.job is not None
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        took = time.monotonic() - worker.since
        result = Result(worker.job, worker.said or "", [f"ended the process with {worker.process.exitcode}"], took)
        worker.end()
        return result
    if isinstance(message, str):
        worker.said, worker.since = message, time.monotonic()
        return None
    assert isinstance(message, Result)
    return message
