"""On a CUDA device: verification in readings of the laws, gains in passes and in time, and what recording costs.

Run ``python -m studies.bench_cuda`` where there is one; the result is written to ``studies/results/bench_cuda.json``.
The same measurements as :mod:`studies.bench_laws` and :mod:`studies.bench_decode`, which say how, at sizes that fill a
card; and a step as it is, launched operation by operation, against the same step replayed as one CUDA graph.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from reference import get_method, load_model
from reference.decoder import make_settings
from reference.kernel import init, step
from reference.models.base import open_session
from scd_analysis.errors import InputError
from studies import bench_decode, bench_laws
from studies.store import save
from studies.timing import compiling, in_turns, ratios

SHAPES = ((16, 64, 65536), (1, 64, 65536), (64, 32, 1024))
SETTINGS = (("ar", 1), *((name, window) for window in (16, 32, 64) for name in bench_decode.METHODS))


def laws(rounds: int, seed: int, device: torch.device) -> list[dict[str, Any]]:
    """Rows of :mod:`studies.bench_laws`."""
    rows = []
    for shape in SHAPES:
        torch.compiler.reset()
        todo = bench_laws.jobs(shape, seed, device)
        times = in_turns(todo, rounds, cached=False, device=device)
        sizes = dict(zip(("batch", "window", "vocab_size"), shape, strict=True))
        rows += [{**sizes, "job": job, **found} for job, found in ratios(times, bench_laws.FLOOR).items()]
    return rows


def gains(num_sequences: int, rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """Rows of :mod:`studies.bench_decode`, of ``photos``; a first round warms up."""
    model, rows = load_model("photos"), []
    for batch, count in ((1, 2), (num_sequences, num_sequences)):
        for turn in range(-1, rounds):
            for name, window in SETTINGS:
                found = bench_decode.gain(model, name, window, count, batch, device)
                if turn >= 0:
                    rows.append({"method": name, "window": window, "batch": batch, "round": turn, "n": count} | found)
    return bench_decode.gains(rows)


def graph(rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """Milliseconds of a step of ``photos`` at window 32, launched and replayed."""
    model, rows = load_model("photos").to(device), []  # type: ignore[attr-defined]
    for name in bench_decode.METHODS:
        for batch in (1, 64):
            settings = make_settings(model, get_method(name), 32, 0, torch.float32)
            with torch.inference_mode():
                session = open_session(model, batch, device)
                state = init(settings, torch.arange(batch, device=device))
                for _ in range(3):
                    state, _ = step(settings, session, state, model.num_tokens - 1)
                launched: Callable[[], Any] = partial(step, settings, session, state, model.num_tokens - 1)
                launched()
                captured = torch.cuda.CUDAGraph()
                with torch.cuda.graph(captured):
                    kept = launched()
                times = in_turns({"launched": launched, "replayed": captured.replay}, rounds, device=device)
                del kept
            found = ratios(times, "replayed")
            rows.append({"method": name, "batch": batch} | {way: numbers["ms"] for way, numbers in found.items()})
    return rows


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
    with compiling("never"):
        content: dict[str, Any] = {"steps": graph(20, device), "gains": gains(args.num_sequences, args.rounds, device)}
        recorded = bench_decode.split(load_model("photos"), "scd-mc", 32, args.num_sequences, args.rounds, device)
        content |= {"parts": recorded, "throughput": bench_decode.throughput(device)}
    content |= {"rows": laws(40, args.seed, device), "rounds": args.rounds, "seed": args.seed}
    name = torch.cuda.get_device_name()
    save("bench_cuda", "verification, decoding and recording on a CUDA device", content, device=name)


if __name__ == "__main__":
    main()
