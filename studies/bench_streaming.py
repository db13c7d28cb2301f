"""Whether looking at a trace takes memory that grows with the trace.

Run ``python -m studies.bench_streaming``; the result is written to ``studies/results/bench_streaming.json``. Traces of
``photos`` with whole laws, in two sizes, are written to a temporary folder; that, and every way of looking at one, runs
in a process of its own, whose peak resident memory is what the operating system says. ``open`` is such a process that
imports the same and only opens the trace, ``load laws`` what it takes to hold one of its two arrays of laws.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zarr

from studies.store import Rows, command_line, in_child, peak_bytes, run_main, save

QUESTION = "peak memory of looking at a trace with laws, by the size of the trace"
SIZES = (32, 128)
METHOD, WINDOW, BATCH = "scd-mc", 32, 32
GIB = 2**30


def _summary(path: Path) -> Any:
    from scd_analysis.trace import open_trace
    from scd_analysis.trace.summary import summarise

    return summarise(open_trace(path))


def _validate(path: Path) -> None:
    from scd_analysis.trace import open_trace, validate

    validate(open_trace(path), laws=True)


def _measures(path: Path) -> None:
    from scd_analysis.trace import open_trace, trajectories

    trace = open_trace(path)
    for _ in trajectories.acceptance_trajectories(trace):
        pass
    trajectories.acceptance_by_token(trace)
    for coupling in trajectories.PREDICTED_BY:
        trajectories.collisions(trace, coupling)
    trajectories.commit_lengths(trace)


def _audit(path: Path) -> None:
    import reference
    import scd_analysis
    from scd_analysis.trace import open_trace

    count = open_trace(path).sizes["sequence"]
    verdict = scd_analysis.audit(str(path), reference.load_model("photos"), max_sequences=count, progress=False)
    assert verdict.num_sequences == count  # all of it was looked at


def _figures(path: Path) -> None:
    from scd_analysis.figures.rendering import render

    with tempfile.TemporaryDirectory() as folder:
        assert render(trace=path, out=folder)


def _load(path: Path) -> None:
    from scd_analysis.trace import open_trace

    assert open_trace(path)["target_probs"].values.size


def _open(path: Path) -> None:
    import reference
    import scd_analysis.figures  # noqa: F401
    from scd_analysis.trace import open_trace

    reference.load_model("photos")
    open_trace(path)


TASKS: dict[str, Callable[[Path], Any]] = {
    "open": _open,
    "summary": _summary,
    "measures": _measures,
    "validate laws": _validate,
    "audit": _audit,
    "figures": _figures,
    "load laws": _load,
}


def measured(work: Callable[[], Any]) -> None:
    """Write or look at the trace, and print seconds and the peak of resident memory.

    A process begins with the peak of the one that started it: that one must stay small.
    """
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes()}))


def write(path: Path, num_sequences: int) -> None:
    """Decode ``photos`` into a trace with whole laws."""
    from reference import decode, load_model

    options = {"record": "laws", "out_path": path, "batch_size": BATCH, "progress": False}
    decode(load_model("photos"), METHOD, WINDOW, num_sequences, **options)  # type: ignore[arg-type]


def sizes(path: Path) -> dict[str, int]:
    """Bytes of a trace, before compression and on disk."""
    arrays = zarr.open_group(str(path), mode="r").arrays()
    on_disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return {"trace_bytes": sum(array.nbytes for _, array in arrays), "on_disk_bytes": on_disk}


def main() -> None:
    """Write, look, print and store."""
    parser = command_line(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sequences of each trace")
    parser.add_argument("--folder", type=Path, help="where traces are written, and removed again")
    parser.add_argument("--child", choices=("write", *TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        chosen = TASKS.get(args.child)
        measured(lambda: write(args.path, args.sizes[0]) if chosen is None else chosen(args.path))
        return
    kept = Rows("bench_streaming", ("task", "num_sequences"), fresh=args.fresh)
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        for count in args.sizes:
            path = folder / f"{count}.zarr"
            missing = [task for task in TASKS if not kept.has(task, count)]
            for task in ["write", *missing] if missing else []:
                words = ["-m", "studies.bench_streaming", "--child", task, "--path", str(path), "--sizes", str(count)]
                found = in_child(words)
                if not kept.has(task, count):
                    kept.add({"task": task, "num_sequences": count, **sizes(path), **found})
            shutil.rmtree(path, ignore_errors=True)
    finally:
        shutil.rmtree(folder)
    settings = {"model": "photos", "method": METHOD, "window": WINDOW, "batch_size": BATCH}
    save("bench_streaming", QUESTION, {**settings, "rows": kept.rows})
    for row in kept.rows:
        print(f"{row['task']:>14}: trace of {row['trace_bytes'] / GIB:.2f} GiB, peak {row['peak_bytes'] / GIB:.2f} GiB")


if __name__ == "__main__":
    run_main(main)
