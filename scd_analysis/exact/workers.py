"""Several processes: the first branches are run here, the rest is dealt out."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Hashable
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import torch

from scd_analysis.errors import CannotEnumerate
from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.explore import Explorer, Limits
from scd_analysis.exact.progress import Report
from scd_analysis.exact.tree import Pending

_SHARE = 16  # branches for each process before the work is dealt out

Result = tuple[list[tuple[Hashable, list[Number]]], int, list[Number], float, list[str]]


def explore_in_processes(explorer: Explorer, limits: Limits, workers: int, report: Report) -> None:
    """Finish an exploration with ``workers`` processes; results come back as plain numbers.

    Raises
    ------
    CannotEnumerate
        If a process meets something that cannot be enumerated.
    RuntimeError
        If the sampler raised in a process.
    """
    explorer.run(lambda: report(explorer.tally.branches, explorer.waiting) or explorer.waiting >= _SHARE * workers)
    branches = explorer.take_all()
    if not branches:
        return
    if limits.max_branches is not None:
        left = limits.max_branches - explorer.tally.branches
        limits = replace(limits, max_branches=math.ceil(max(left, 0) / workers))
    context = multiprocessing.get_context("fork")
    jobs = []
    for index in range(workers):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(send, explorer, limits, branches[index::workers]), daemon=True)
        process.start()
        send.close()
        jobs.append((process, receive))
    try:
        for process, receive in jobs:
            _collect(explorer, receive)
            process.join()
    finally:
        for process, _ in jobs:
            if process.is_alive():
                process.terminate()


def _work(send: Connection, explorer: Explorer, limits: Limits, branches: list[Pending]) -> None:
    torch.set_num_threads(1)
    try:
        share = explorer.share(limits)
        share.put(branches)
        share.run()
        share.leave_rest()
        tally = share.tally
        masses = [(outcome, mass.parts()) for outcome, mass in tally.masses.items()]
        send.send(("done", (masses, tally.branches, tally.left_out.parts(), tally.slack, sorted(tally.notes))))
    except CannotEnumerate as error:
        send.send(("refused", str(error)))
    except BaseException as error:
        send.send(("failed", f"{type(error).__name__}: {error}"))
    finally:
        send.close()


def _collect(explorer: Explorer, receive: Connection) -> None:
    try:
        kind, content = receive.recv()
    except EOFError:
        raise RuntimeError("a process of the exact engine ended without a result") from None
    if kind == "refused":
        raise CannotEnumerate(content)
    if kind == "failed":
        raise RuntimeError(f"the sampler raised in a process of the exact engine: {content}")
    _add(explorer, content)


def _add(explorer: Explorer, content: Any) -> None:
    masses, branches, left_out, slack, notes = content
    tally = explorer.tally
    for outcome, parts in masses:
        tally.add(outcome, parts)
    for part in left_out:
        tally.left_out.add(part)
    tally.branches += branches
    tally.slack = max(tally.slack, slack)
    tally.notes.update(notes)
