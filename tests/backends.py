"""Ten subjects judged where jobs run: ``python -m tests.backends BACKEND [killed]``; its last line has their verdicts.

A backend is ``alone`` (one job), ``processes``, ``dask`` or ``ray``, the last two of a cluster that is started here:
two workers, or two nodes. With ``killed`` a worker is killed in the middle.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np

import reference
from reference.broken import get_fault
from scd_analysis import Verdict, audit, audit_pair, subjects
from scd_analysis.cli.cluster import cluster
from tests.audit.engine_server import Engine, served
from tests.evidence.decoders import random_tables

MODEL = reference.TabularModel.random(3, 4, 0.7, seed=1)
FAULT = get_fault("drop-residual")
MOST = 640


def drawn(method: str, model: Any, num_sequences: int, seed: int, record: str | None = None) -> Any:
    """Tokens of a method, or its trace."""
    out = reference.decode(model, method, 3, num_sequences, seed, record, progress=False)
    return out.tokens if record is None else out.trace


def slow(model: Any, num_sequences: int, seed: int) -> Any:
    """The same at the pace of a larger model, so that there is a middle in which workers can be killed."""
    time.sleep(0.1)
    return drawn("sjd", model, num_sequences, seed)


def made() -> Callable[..., Any]:
    """What a worker makes by itself."""
    return lambda _, num_sequences, seed: drawn("scd-gs", MODEL, num_sequences, seed)


def faulty(model: Any, num_sequences: int, seed: int) -> Any:
    """Tokens of a planted fault."""
    return FAULT.decode(model, FAULT.window, num_sequences, seed, None).tokens


def verify(draft_tokens: Any, draft_probs: Any, target_probs: Any, rng: np.random.Generator) -> list[list[int]]:
    """Exact match."""
    out = []
    for x, laws in zip(draft_tokens, target_probs, strict=True):
        row: list[int] = []
        for k, p in enumerate(laws):
            row.append(int(rng.choice(len(p), p=p / p.sum())))
            if k == len(x) or row[-1] != x[k]:
                break
        out.append(row)
    return out


def judged(jobs: int | None) -> dict[str, Verdict | Any]:
    """Verdicts by subject."""
    options: dict[str, Any] = {"max_sequences": MOST, "jobs": jobs, "progress": False}
    tables = random_tables(5, 4, 0.8, np.random.default_rng(11))
    with tempfile.TemporaryDirectory() as place, served(Engine(tables)) as url:
        shards = Path(place, "run")
        reference.decode(MODEL, "sjd", 3, 96, 0, "laws", out_path=shards, jobs=jobs or 1, progress=False)
        engine = subjects.endpoint(url, prompt=[1, 2], num_tokens=4, choices=16, target=tables)
        found = {
            "tokens": audit(slow, MODEL, **options),
            "tokens, coupled": audit(partial(drawn, "scd-mc"), MODEL, **options),
            "made by a worker": audit(subjects.made_by("tests.backends:made"), MODEL, **options),
            "tokens of a fault": audit(faulty, FAULT.model(), **options),
            "traces": audit(partial(drawn, "sjd", record="scalars"), MODEL, **options),
            "traces of a fault": audit(FAULT.traced(FAULT.window), FAULT.model(), **options),
            "shards": audit(shards, MODEL, progress=False),
            "a kernel": audit(subjects.kernel(verify, output="list", numpy=True), **options),
            "an engine": audit(engine, **options),
            "two arms": audit_pair(partial(drawn, "scd-mc"), partial(drawn, "ar"), MODEL, **options),
        }
    return {name: json.loads(verdict.to_json()) for name, verdict in found.items()}


@contextmanager
def place_of_jobs(backend: str, killed: bool) -> Iterator[None]:
    """Start what runs jobs, and kill a worker of it after a while."""
    if backend in ("alone", "processes"):
        with killing(_processes) if killed else joblib.parallel_config():
            yield
    elif backend == "dask":
        from distributed import LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as there:
            pids = partial(_of_dask, there)
            with cluster("dask", there.scheduler_address), killing(pids) if killed else joblib.parallel_config():
                yield
    else:
        from ray.cluster_utils import Cluster

        there = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        there.add_node(num_cpus=1)
        try:
            with cluster("ray", there.address), killing(_of_ray) if killed else joblib.parallel_config(backend="ray"):
                yield
        finally:
            there.shutdown()


def _processes() -> list[int]:
    from joblib.externals.loky import reusable_executor

    executor = reusable_executor._executor
    return [] if executor is None else list(executor._processes or {})


def _of_dask(there: Any) -> list[int]:
    return [worker.pid for worker in there.workers.values() if worker.pid]


def _of_ray() -> list[int]:
    import psutil

    names = ((process.pid, " ".join(process.cmdline()[:1])) for process in psutil.process_iter())
    return [pid for pid, name in names if name.startswith("ray::PoolActor")]


@contextmanager
def killing(pids: Callable[[], list[int]]) -> Iterator[None]:
    """Kill a worker once there are two, and half a second has passed."""
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.5):
            found = pids()
            if len(found) > 1:
                time.sleep(0.5)
                os.kill(found[0], signal.SIGKILL)
                sys.stderr.write(f"killed {found[0]}\n")
                return

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    name, *words = sys.argv[1:]
    from tests import backends  # what is sent to workers is then of a module that they can import

    with backends.place_of_jobs(name, words == ["killed"]):
        found = backends.judged(1 if name == "alone" else 2)
    sys.stdout.write(f"{json.dumps(found)}\n")
