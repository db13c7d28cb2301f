"""On a CUDA device: verification in readings of the laws, gains in passes and in time, and what recording costs.

Run ``python -m studies.bench_cuda`` where there is one; the result is written to ``studies/results/bench_cuda.json``.
The same measurements as :mod:`studies.bench_laws` and :mod:`studies.bench_decode`, which say how, at sizes that fill a
card; decodes of ``photos`` launched operation by operation, and with their passes replayed as one CUDA graph.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from reference import decode, get_method, load_model
from reference.decoder import make_settings
from reference.kernel import init, step
from reference.recording import report
from scd_analysis.errors import InputError
from studies import bench_decode, bench_laws
from studies.bench_scaling import PositionLaws
from studies.store import run_main, save
from studies.timing import compiling, in_turns, ratios

SHAPES = ((16, 64, 65536), (1, 64, 65536), (64, 32, 1024))
Settings = tuple[tuple[str, int], ...]
FILLED = 512
"""Sequences that keep a card busy."""
SETTINGS: Settings = (("ar", 1), *((name, window) for window in (16, 32, 64) for name in bench_decode.METHODS))


def laws(rounds: int, seed: int, device: torch.device) -> list[dict[str, Any]]:
    """Rows of :mod:`studies.bench_laws`."""
    rows = []
    for shape in SHAPES:
        torch.compiler.reset()
        todo = bench_laws.jobs(shape, seed, device)
        with compiling("always"):
            times = in_turns(todo, rounds, cached=False, device=device)
        sizes = dict(zip(("batch", "window", "vocab_size"), shape, strict=True))
        rows += [{**sizes, "job": job, **found} for job, found in ratios(times, bench_laws.FLOOR).items()]
    return rows


def held(name: str, vocab_size: int, device: torch.device) -> float:
    """Most memory of a step and its scalars beside the state it starts from, in windows of laws."""
    model = PositionLaws(vocab_size, 64, seed=0, device=device)
    settings = replace(make_settings(model, get_method(name), 16, 0, torch.float32), measure=True)
    with torch.no_grad():
        state = init(settings, torch.arange(8, device=device))
        state, info = step(settings, model, state, 63)
        report(info, "scalars")
        del info
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        after, info = step(settings, model, state, 63)
        found = report(info, "scalars")
        peak = torch.cuda.max_memory_allocated() - before
    del after, info, found
    return peak / (8 * 16 * vocab_size * 4)


def gains(sizes: dict[int, int], rounds: int, device: torch.device, settings: Settings = SETTINGS) -> Any:
    """Rows of :mod:`studies.bench_decode`, by batch and sequences; a first round warms up."""
    model, rows = load_model("photos"), []
    for batch, count in sizes.items():
        for turn in range(-1, rounds):
            for name, window in settings:
                found = bench_decode.gain(model, name, window, count, batch, device)
                if turn >= 0:
                    rows.append({"method": name, "window": window, "batch": batch, "round": turn, "n": count} | found)
    return bench_decode.gains(rows)


def recording(num_sequences: int, rounds: int, device: torch.device) -> dict[str, float]:
    """What a decode takes, in seconds, and what one that records takes longer, as a share."""
    model, seconds = load_model("photos"), defaultdict(list)
    for turn in range(-1, rounds):
        for record in (None, "scalars", "laws"):
            with TemporaryDirectory() as folder:
                path = Path(folder) / "trace.zarr" if record else None
                start = time.perf_counter()
                decode(model, "scd-mc", 32, num_sequences, 0, record, device, out_path=path, progress=False)
                if turn >= 0:
                    seconds[record].append(time.perf_counter() - start)
    medians = {record: float(np.median(values)) for record, values in seconds.items()}
    more = {f"record_{record}": medians[record] / medians[None] - 1 for record in ("scalars", "laws")}
    return {"seconds": medians[None]} | more


def main() -> None:
    """Time, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-sequences", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise InputError("torch.cuda.is_available() = False: this study needs a CUDA device")
    device = torch.device("cuda")
    content: dict[str, Any] = {"rounds": args.rounds, "seed": args.seed}

    def keep(name: str, mode: str, found: Callable[[], Any]) -> None:
        """Measure one part, and store what there is: time on a card is often lent and short."""
        with compiling(mode):
            content[name] = found()
        where = torch.cuda.get_device_name()
        save("bench_cuda", "verification, decoding and recording on a CUDA device", content, device=where)

    size, rounds = args.num_sequences, args.rounds
    for way, mode in (("launched", "never"), ("replayed", "auto")):
        keep(f"gains, {way}", mode, lambda: gains({1: 2, size: size}, rounds, device))
        keep(f"recording, {way}", mode, lambda: recording(size, rounds, device))
        keep(f"throughput, {way}", mode, lambda: bench_decode.throughput(device))
    few = tuple(setting for setting in SETTINGS if setting[1] in (1, 32))
    keep("gains, filled", "auto", lambda: gains({FILLED: FILLED}, rounds, device, few))
    photos = load_model("photos")
    keep("parts", "never", lambda: bench_decode.split(photos, "scd-mc", 32, size, 1, device))
    keep("held", "never", lambda: {name: held(name, 65536, device) for name in bench_decode.METHODS})
    keep("rows", "never", lambda: laws(40, args.seed, device))


if __name__ == "__main__":
    run_main(main)
