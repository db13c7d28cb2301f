"""Scaling out: time and cost of audits, recordings, exact laws and calibrations against workers, and against judges.

Run ``python -m studies.scaling``; the result is written to ``studies/results/scaling.json``. One and two workers are
measured here; up to ten thousand are simulated, with task times drawn from those measured, some tasks that straggle,
and one judge or several who look at what was drawn in its order. Judges on parts of their own each learn anew: their
e-values multiply, and how many more sequences that takes is measured on planted faults. How the decoder's own time
grows with the size of a decode is another study, ``studies.bench_scaling``.
"""

from __future__ import annotations

import heapq
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import reference
import scd_analysis
from reference.broken import get_fault
from scd_analysis.audit.ahead import ROUNDS_HELD
from scd_analysis.audit.samples import CHUNK_GROWTH, SMALLEST_CHUNK, SampleEvidence
from scd_analysis.audit.target import Target
from scd_analysis.common.parallel import side_by_side
from scd_analysis.trace.trajectories import mean_interval
from studies import calibration, power
from studies.store import Rows, command_line, load, run_main, save

QUESTION = "time and cost against workers and judges, measured here and simulated"
WORKERS = (1, 2, 10, 30, 100, 300, 1_000, 3_000, 10_000)
JUDGES = (1, 4, 16, 64)
SHARES = (1, 2, 4, 8, 16)
NUM_TASKS = 10_000
"""Sequences that are audited or recorded, and audits of a calibration."""

SECONDS_A_SEQUENCE = 60.0
"""Of an image model on a worker's GPU: a round number, not measured."""

STRAGGLERS, SLOWER = 0.02, 4.0
"""Share of tasks that take so many times as long."""

FAULTS = ("residual-floored", "residual-from-target")
ALPHA, LIMIT = 1e-6, 200_000
MODEL, METHOD, WINDOW, BATCH = "digits", "scd-mc", 16, 64
AUDITED, RECORDED = 2_048, 3_072

Floats = npt.NDArray[np.float64]


# -- simulated --------------------------------------------------------------------------------------------------------


def finish(draws: Sequence[float], workers: int, judge: float = 0.0, judges: int = 1) -> float:
    """Return the seconds until the last task is done, and judged.

    Parameters
    ----------
    draws : sequence of float
        Seconds of a worker for each task, in the order in which they are handed out and judged.
    workers : int
        At least as many as there are judges.
    judge : float
        Seconds of a judge for each task; 0 where nothing is judged.
    judges : int
        How many, each with tasks and workers of its own. At most ``ROUNDS_HELD`` tasks a worker wait for a judge.
    """
    own = [workers // judges + (j < workers % judges) for j in range(judges)]
    return max(_of_one(draws[j::judges], own[j], judge) for j in range(judges))


def _of_one(draws: Sequence[float], workers: int, judge: float) -> float:
    free, now = [0.0] * workers, 0.0
    judged: list[float] = []
    held = ROUNDS_HELD * workers
    for i, seconds in enumerate(draws):
        start = heapq.heappop(free)
        if judge and i >= held:
            start = max(start, judged[i - held])
        heapq.heappush(free, start + seconds)
        now = max(now, start + seconds) + judge if judge else max(now, start + seconds)
        judged.append(now)
    return now


def slowed(draws: Floats, share: float, factor: float, rng: np.random.Generator) -> Floats:
    """Let a share of the tasks take ``factor`` times as long."""
    return np.where(rng.random(len(draws)) < share, factor * draws, draws)


def simulated(name: str, draws: Floats, judge: float, judges: Sequence[int]) -> list[dict[str, Any]]:
    """Hours, and hours of workers, by workers and judges."""
    rows = []
    for count in judges:
        for workers in WORKERS:
            if workers < count:
                continue
            seconds = finish(draws.tolist(), workers, judge, count)
            found = {"hours": seconds / 3600, "worker_hours": workers * seconds / 3600}
            rows.append({"kind": "simulated", "task": name, "workers": workers, "judges": count, **found})
    return rows


def seconds_of_judge() -> float:
    """What one core takes to judge a sequence of an image model's size, laws included."""
    (row,) = (row for row in load("bench_judge")["rows"] if row["task"] == "scalars" and row["num_sequences"] > 8)
    return float(row["cpu_seconds_of_judge"] + row["seconds_of_model"])


def scenarios(measured: dict[str, list[float]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Simulate an image model's audit and recording, and a calibration, with task times as they spread here."""

    def times(of: str, mean: float | None = None) -> Floats:
        own = np.asarray(measured[of])
        drawn = rng.choice(own, NUM_TASKS) * (1 if mean is None else mean / own.mean())
        return slowed(drawn, STRAGGLERS, SLOWER, rng)

    return [
        *simulated("audit", times("audit", SECONDS_A_SEQUENCE), seconds_of_judge(), JUDGES),
        *simulated("recording", times("audit", SECONDS_A_SEQUENCE), 0.0, (1,)),
        *simulated("calibration", times("calibration"), 0.0, (1,)),
    ]


# -- measured ---------------------------------------------------------------------------------------------------------


def draw(model: Any, num_sequences: int, seed: int) -> Any:
    """Decode."""
    return reference.decode(model, METHOD, WINDOW, num_sequences, seed=seed, record=None, progress=False).tokens


def _audit(jobs: int) -> None:
    scd_analysis.audit(draw, reference.load_model(MODEL), max_sequences=AUDITED, jobs=jobs, progress=False)


def _record(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options: Any = {"out_path": Path(folder) / "trace", "batch_size": BATCH, "jobs": jobs, "progress": False}
        reference.decode(reference.load_model(MODEL), METHOD, WINDOW, RECORDED, record="scalars", **options)


def coins() -> int:
    """Toss a coin fifteen times, by NumPy: what the exact engine replays."""
    rng = np.random.default_rng()
    return sum(int(rng.random() < 0.3) << i for i in range(15))


def _exact(jobs: int) -> None:
    scd_analysis.exact_law(coins, workers=jobs)


AUDITS = [(name, 1, 1, "trace") for name in calibration.MODELS] * 4


def _calibrate(jobs: int) -> None:
    list(side_by_side(calibration.audits, AUDITS, jobs))


TASKS: dict[str, Callable[[int], None]] = {
    "audit": _audit,
    "recording": _record,
    "exact law": _exact,
    "calibration": _calibrate,
}


def measure(task: str, workers: int) -> dict[str, Any]:
    """Seconds of a task, and of its workers, which have been started before."""
    list(side_by_side(time.sleep, [0.5] * workers, workers))
    start = time.perf_counter()
    TASKS[task](workers)
    seconds = time.perf_counter() - start
    return {"kind": "measured", "task": task, "workers": workers, "seconds": seconds, "cost": workers * seconds}


def task_times() -> dict[str, list[float]]:
    """Seconds of single tasks, one after the other: a batch drawn, an audit of a calibration."""
    model = reference.load_model(MODEL)
    found: dict[str, list[float]] = {}
    for name, task, each in (
        ("audit", lambda i: draw(model, BATCH, i), range(8)),
        ("calibration", lambda i: calibration.audits(AUDITS[i]), range(len(calibration.MODELS))),
    ):
        task(0)
        found[name] = []
        for i in each:
            start = time.perf_counter()
            task(i)
            found[name].append(time.perf_counter() - start)
    return found


# -- several judges ---------------------------------------------------------------------------------------------------


def needed(subject: Any, model: Any, judges: int, seed: int) -> int:
    """Sequences, over all judges, until the product of their e-values refutes.

    Each judge learns from the sequences of its own only, between parts as an audit does.
    """
    streams = np.random.SeedSequence(seed).spawn(judges)
    rngs, seen = [np.random.default_rng(stream) for stream in streams], 0
    target = Target(model)
    target.check(rngs[0])
    evidence = [SampleEvidence(target, rng) for rng in rngs]
    while seen * judges < LIMIT:
        size = max(SMALLEST_CHUNK, int(CHUNK_GROWTH * seen))
        total = np.zeros(size)
        for one, rng in zip(evidence, rngs, strict=True):
            total += one.bet(one.batch(subject(model, size, int(rng.integers(2**31)))))
        crossed = total >= math.log(1 / ALPHA)
        if crossed.any():
            return judges * (seen + int(crossed.argmax()) + 1)
        seen += size
    return LIMIT


def powers(fault: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Mean number of sequences until a fault is refuted, by judges, and its ratio to that of one."""
    (law,) = (row for row in load("exact_laws")["rows"] if row["fault"] == fault)
    subject, model, rows, alone = power.sampler(law), get_fault(fault).model(), [], 0.0
    for judges in SHARES:
        found = mean_interval(np.array([needed(subject, model, judges, seed) for seed in seeds], dtype=np.float64))
        alone = alone or found.value
        mean = {"mean": found.value, "low": found.low, "high": found.high, "ratio": found.value / alone}
        rows.append({"kind": "power", "task": fault, "judges": judges, **mean})
    return rows


def main() -> None:
    """Measure, simulate and store."""
    parser = command_line(__doc__, seed=(0, "of the simulated task times"))
    parser.add_argument("--seeds", type=int, nargs="+", default=range(10), help="of the audits by several judges")
    parser.add_argument("--only", choices=("measured", "power"), help="measure this part, and store nothing")
    parser.add_argument("--note", default="", help="what else is to be known of the measured times; is stored")
    args = parser.parse_args()
    timed = Rows("scaling.measured", ("task", "workers"), fresh=args.fresh)
    for task in TASKS if args.only != "power" else ():
        for workers in (1, 2):
            if not timed.has(task, workers):
                timed.add(measure(task, workers))
    if args.only != "power" and not timed.has("task times", 1):
        timed.add({"kind": "task times", "task": "task times", "workers": 1, "times": task_times()})
    found = Rows("scaling.power", ("task", "judges"), fresh=args.fresh)
    for fault in FAULTS if args.only != "measured" else ():
        if not found.has(fault, SHARES[-1]):
            for row in powers(fault, args.seeds):
                found.add(row)
    if args.only:
        return
    (times,) = (row["times"] for row in timed.rows if row["kind"] == "task times")
    measured = [row for row in timed.rows if row["kind"] == "measured"]
    rows = [*measured, *scenarios(times, np.random.default_rng(args.seed)), *found.rows]
    settings = {
        "model": MODEL,
        "method": METHOD,
        "window": WINDOW,
        "audited": AUDITED,
        "recorded": RECORDED,
        "num_tasks": NUM_TASKS,
    }
    settings |= {"seconds_a_sequence": SECONDS_A_SEQUENCE, "stragglers": STRAGGLERS, "slower": SLOWER}
    settings |= {"note": args.note, "task_times": times, "seconds_of_judge": seconds_of_judge()}
    save("scaling", QUESTION, {**settings, "alpha": ALPHA, "seeds": len(args.seeds), "rows": rows})


if __name__ == "__main__":
    run_main(main)
