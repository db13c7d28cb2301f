"""Where the time of a decode goes, and how much of the gain in passes is a gain in time.

Run ``python -m studies.bench_decode``; the result is written to ``studies/results/bench_decode.json``. The model,
verification and drafting are timed inside decodes of ``photos``; the rest is bookkeeping. Recording is what a decode
that records takes longer, in the same rounds. Gains are those over one token a pass with the same key-value cache, for
one sequence at a time and for a batch: medians over rounds, each compared with its own, and the least and largest.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference import TabularModel, decode, get_method, load_model
from reference.methods import Method
from reference.models.base import Session, TargetModel, open_session
from studies.store import Rows, command_line, run_main, save
from studies.timing import compiling, finish

METHODS = ("sjd", "scd-mc", "scd-gs")
WINDOWS = (8, 16, 32, 64)
Device = torch.device | str


class Clock:
    """Seconds by part, on a device that is waited for after each."""

    def __init__(self, device: Device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device = device

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                finish(self._device)
                self.seconds[part] += time.perf_counter() - start

        return call


class TimedRule:
    """A drafting or verification rule, timed."""

    def __init__(self, rule: Any, clock: Clock, part: str, name: str) -> None:
        self._rule = rule
        setattr(self, name, clock.timed(part, getattr(rule, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)


class TimedModel:
    """A model whose sessions are timed."""

    def __init__(self, model: Any, clock: Clock) -> None:
        self._model, self._clock = model, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """As the model."""
        law: Tensor = self._model.next_token_probs(tokens)
        return law

    def open_session(self, num_sequences: int, device: torch.device) -> Session:
        """The model's session, timed."""
        session: Any = open_session(self._model, num_sequences, device)
        session.laws = self._clock.timed("model", session.laws)
        return session


def parts(
    model: TargetModel, name: str, window: int, num_sequences: int, record: str | None, device: Device
) -> dict[str, float]:
    """Seconds of one decode by part."""
    clock = Clock(device)
    method = get_method(name)
    timed: Method = replace(
        method,
        drafting=TimedRule(method.drafting, clock, "draft", "draft"),
        verification=TimedRule(method.verification, clock, "verify", "verify"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.zarr" if record else None
        how: dict[str, Any] = {"record": record, "device": device, "out_path": path, "progress": False}
        start = time.perf_counter()
        decode(TimedModel(model, clock), timed, window, num_sequences, **how)
        return {**clock.seconds, "whole": time.perf_counter() - start}


def split(
    model: TargetModel, name: str, window: int, num_sequences: int, rounds: int, device: Device = "cpu"
) -> dict[str, float]:
    """Medians over rounds; recording and writing are what a decode that records takes longer, by parts that it adds."""
    runs: dict[str | None, list[dict[str, float]]] = {None: [], "scalars": [], "laws": []}
    for record in runs:
        parts(model, name, window, num_sequences, record, device)
    for _ in range(rounds):
        for record, done in runs.items():
            done.append(parts(model, name, window, num_sequences, record, device))

    def median(record: str | None, part: str) -> float:
        return float(np.median([run[part] for run in runs[record]]))

    whole = median(None, "whole")
    named = {part: median(None, part) / whole for part in ("model", "verify", "draft")}
    return {
        "seconds": whole,
        **named,
        "rest": 1 - sum(named.values()),
        "record_scalars": float(np.median(_over(runs["scalars"], runs[None]))),
        "record_laws": float(np.median(_over(runs["laws"], runs[None]))),
    }


def _over(more: list[dict[str, float]], less: list[dict[str, float]]) -> list[float]:
    """How much longer, round by round, as a share."""
    return [a["whole"] / b["whole"] - 1 for a, b in zip(more, less, strict=True)]


def gain(
    model: TargetModel, name: str, window: int, num_sequences: int, batch_size: int, device: Device = "cpu"
) -> dict[str, float]:
    """Passes and seconds a sequence."""
    how: dict[str, Any] = {"record": None, "batch_size": batch_size, "device": device, "progress": False}
    start = time.perf_counter()
    out = decode(model, name, window, num_sequences, **how)
    seconds = (time.perf_counter() - start) / num_sequences
    return {"nfe": float(out.nfe.double().mean()), "seconds": seconds}


def gains(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a setting: medians over rounds, and the gain in time of every round over one token a pass in the same."""
    base = {(row["batch"], row["round"]): row for row in rows if row["method"] == "ar"}
    out = []
    for first in (row for row in rows if row["round"] == 0):
        same = [row for row in rows if all(row[key] == first[key] for key in ("method", "window", "batch"))]
        ratios = [base[row["batch"], row["round"]]["seconds"] / row["seconds"] for row in same]
        out.append(
            {key: value for key, value in first.items() if key not in ("round", "seconds")}
            | {"seconds": float(np.median([row["seconds"] for row in same])), "rounds": len(same)}
            | {"gain_nfe": base[first["batch"], 0]["nfe"] / first["nfe"], "gain_time": float(np.median(ratios))}
            | {"gain_time_low": min(ratios), "gain_time_high": max(ratios)}
        )
    return out


def throughput(device: Device = "cpu") -> dict[str, float]:
    """Sequences a second: a small table, and ``digits`` in a batch against one at a time, with and without drafts."""
    table = TabularModel.random(vocab_size=4, num_tokens=6, concentration=0.7, seed=0)
    digits = load_model("digits")
    runs = {
        "tabular": (table, "scd-mc", 4, 100_000, None),
        "digits_batch": (digits, "scd-mc", 16, 256, 256),
        "digits_one_at_a_time": (digits, "scd-mc", 16, 8, 1),
        "digits_ar_batch": (digits, "ar", 1, 256, 256),
        "digits_ar_one_at_a_time": (digits, "ar", 1, 4, 1),
    }
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(4):  # the first round warms up
        for name, (model, method, window, count, size) in runs.items():
            start = time.perf_counter()
            decode(model, method, window, count, record=None, batch_size=size, device=device, progress=False)
            found[name].append(count / (time.perf_counter() - start))
    return {name: float(np.median(values[1:])) for name, values in found.items()}


def main() -> None:
    """Time, print and store."""
    args = command_line(__doc__, num_sequences=64, single=(4, "sequences decoded one at a time"), rounds=5).parse_args()
    model = load_model("photos")
    kept = Rows("bench_decode", ("kind", "method", "window", "batch", "round"), fresh=args.fresh)
    settings = [("ar", 1), *((name, window) for window in WINDOWS for name in METHODS)]
    for batch, count, rounds in ((1, args.single, args.rounds), (args.num_sequences, args.num_sequences, 2)):
        for turn in range(rounds):
            for name, window in settings:
                if not kept.has("gain", name, window, batch, turn):
                    numbers = gain(model, name, window, count, batch)
                    size = {"window": window, "batch": batch, "round": turn, "n": count}
                    kept.add({"kind": "gain", "method": name, **size, **numbers})
    for kind, mode in (("parts, eager", "never"), ("parts, compiled", "always")):
        if not kept.has(kind, "scd-mc", 32, args.num_sequences, 0):
            with compiling(mode):
                numbers = split(model, "scd-mc", 32, args.num_sequences, args.rounds)
            size = {"window": 32, "batch": args.num_sequences, "round": 0, "n": args.num_sequences}
            kept.add({"kind": kind, "method": "scd-mc", **size, **numbers})
    rows = [row for row in kept.rows if row["kind"] != "gain"]
    content = {"model": "photos", "threads": torch.get_num_threads(), "rounds": args.rounds}
    content["rows"] = gains([row for row in kept.rows if row["kind"] == "gain"]) + rows
    save("bench_decode", "where the time of a decode goes, and gains in passes and in time", content | throughput())


if __name__ == "__main__":
    run_main(main)
