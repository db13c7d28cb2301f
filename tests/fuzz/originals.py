"""Small traces, files and checkpoints to damage, made once for all workers."""

from __future__ import annotations

import json
import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import scd_analysis
from reference import TabularModel, decode
from reference.broken import get_fault
from scd_analysis import Outcome, Verdict

V, N, WINDOW, SEQUENCES = 3, 4, 3, 64

RESOLUTION = 0.7
"""Coarse, so that so few sequences decide."""

FAULTS = ("uniform-declared", "neighbours-law", "argmax-draft", "residual-without-draft")
"""Each is refuted within the first sequences, with a model and without."""


@cache
def model() -> Any:
    return TabularModel.random(vocab_size=V, num_tokens=N, concentration=0.7, seed=0)


def audit(subject: Any, target: Any = None, **options: Any) -> Verdict:
    """An audit as all cases run it."""
    return scd_analysis.audit(subject, target, resolution=RESOLUTION, progress=False, **options)


def _kept(name: str, make: Any) -> Path:
    """A file or folder below the originals, made by whoever needs it first."""
    root = Path(os.environ["SCD_FUZZ_ORIGINALS"])
    root.mkdir(parents=True, exist_ok=True)
    if not (root / name).exists():
        mine = root / f"{os.getpid()}-{name}"
        make(mine)
        try:
            mine.rename(root / name)
        except OSError:  # another worker was first
            shutil.rmtree(mine) if mine.is_dir() else mine.unlink()
    return root / name


def lossless(record: str = "laws") -> Path:
    """The trace of a lossless decoder, in two batches."""

    def make(path: Path) -> None:
        options = {"window": WINDOW, "num_sequences": SEQUENCES, "batch_size": SEQUENCES // 2}
        decode(model(), "scd-mc", record=record, out_path=path, progress=False, **options)

    return _kept(f"lossless-{record}.zarr", make)


def faulty(name: str) -> Path:
    """The trace of a decoder with a planted fault."""

    def make(path: Path) -> None:
        fault = get_fault(name)
        trace = fault.decode(model(), WINDOW, SEQUENCES, 1, "laws").trace
        with scd_analysis.TraceWriter(
            path, vocab_size=V, num_tokens=N, window=WINDOW, decoder=name, laws=True
        ) as writer:
            _copy(trace, writer)

    return _kept(f"faulty-{name}.zarr", make)


def _copy(trace: Any, writer: Any) -> None:
    """Write a trace again through the writer."""
    whole = trace.load()
    names = ("draft_token", "next_token", "accepted", "committed", "uniform", "residual_drawn", "age")
    for t in range(whole.sizes["iteration"]):
        row = whole.isel(iteration=t)
        alive = np.flatnonzero(row["base"].notnull().values)
        if not len(alive):
            continue
        part = row.isel(sequence=alive)
        rows = {name: part[name].fillna(-1).astype(int).values for name in ("base", *names) if name != "uniform"}
        rows |= {name: np.nan_to_num(part[name].values, nan=1 / V) for name in ("draft_probs", "target_probs")}
        rows |= {"uniform": part["uniform"].fillna(0).values, "bonus_token": part["bonus_token"].fillna(-1).values}
        rows["bonus_token"] = rows["bonus_token"].astype(int)
        writer.append(sequence=alive, **rows)
    writer.finish_batch(tokens=whole["tokens"].fillna(-1).astype(int).values, nfe=whole["nfe"].values.astype(int))


def verdict_of(path: Path, with_model: bool) -> str:
    """The outcome of an original; kept, since each is asked for often."""
    name = f"{path.name}-{'model' if with_model else 'alone'}.json"

    def make(file: Path) -> None:
        file.write_text(audit(path, model() if with_model else None).to_json())

    return str(json.loads(_kept(name, make).read_text())["outcome"])


@cache
def verdict(of_fault: bool) -> dict[str, Any]:
    """A verdict as JSON has it."""
    path = faulty("uniform-declared") if of_fault else lossless()
    verdict_of(path, False)
    found = json.loads((Path(os.environ["SCD_FUZZ_ORIGINALS"]) / f"{path.name}-alone.json").read_text())
    assert isinstance(found, dict)
    return found


def is_lossless(outcome: str) -> bool:
    return outcome != Outcome.REFUTED.name
