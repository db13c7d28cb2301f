"""A recording and an audit that are killed: nothing that was finished is lost, and going on gives the same verdict.

What is killed is forked from a process that has imported everything and done nothing yet: importing takes ten times as
long as what is looked at.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from reference import decode
from scd_analysis.trace import open_trace, validate
from tests.fuzz import originals
from tests.fuzz.case import Case
from tests.fuzz.command import environment

RECORD = """
import sys, time
from reference import TabularModel, decode
import reference.decoder
model = TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)
slow = type("Slow", (), {"vocab_size": 3, "num_tokens": 4})()
def laws(tokens):
    time.sleep(0.002)
    return model.next_token_probs(tokens)
slow.next_token_probs = laws
print("ready", flush=True)
options = {"window": 3, "num_sequences": 600, "batch_size": 8, "progress": False}
decode(slow, "scd-mc", record=sys.argv[1], out_path="run.zarr", **options)
print("done", flush=True)
"""
AUDIT = """
import sys, time
from tests.fuzz import checkpoints, originals
def slow(model, num_sequences, seed):
    print("batch", flush=True)
    time.sleep(0.05)
    return checkpoints.honest(model, num_sequences, seed)
print("ready", flush=True)
verdict = originals.audit(slow, originals.model(), checkpoint="kept", max_sequences=1_000)
open("verdict.json", "w").write(verdict.to_json())
"""


IMPORTED = ["reference", "tests.fuzz.checkpoints", "scd_analysis.trace", "scd_analysis.audit.traced"]
LONGEST = 150.0
"""Seconds that a process may take to begin, and to end by itself, on a busy machine."""


@dataclass(frozen=True)
class _Process:
    """Some code in a process of its own, and the folder in which it works."""

    process: Any
    folder: Path

    def said(self, name: str) -> str:
        """What it has printed so far, to ``"out"`` or ``"err"``."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def kill_after(self, seconds: float) -> None:
        """Kill it, so long after it has said that it is ready."""
        begun = time.monotonic()
        while "ready" not in self.said("out"):
            assert self.process.is_alive(), self.said("err")
            assert time.monotonic() < begun + LONGEST
            time.sleep(0.005)
        time.sleep(seconds)
        self.process.kill()
        self.process.join()

    def finish(self) -> int | None:
        """Wait for its end; None, if that does not come."""
        self.process.join(LONGEST)
        self.process.kill()
        return None if self.process.exitcode == -9 else int(self.process.exitcode)


def _start(folder: Path, code: str, *words: str) -> _Process:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    (folder / "out").unlink(missing_ok=True)
    process = context.Process(target=_work, args=(folder, code, words))
    process.start()
    return _Process(process, folder)


def _work(folder: Path, code: str, words: tuple[str, ...]) -> None:
    os.chdir(folder)
    os.environ.update(environment())
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["-c", *words]
    exec(compile(code, "<killed>", "exec"), {"__name__": "__main__"})


@cache
def _tokens() -> Any:
    return decode(
        originals.model(), "scd-mc", window=3, num_sequences=600, batch_size=8, record=None, progress=False
    ).tokens


def recording(case: Case) -> None:
    """A recording killed at some time opens, validates, and holds the sequences that it finished."""
    record = case.rng.choice(("laws", "laws-float16", "laws-top-2", "scalars"))
    after = case.rng.random() * 3
    case.describe(f"{record}, killed after {after:.2f} s")
    _start(case.folder, RECORD, record).kill_after(after)
    path = case.folder / "run.zarr"
    if not path.exists():
        return
    trace = case.door("open_trace", lambda: open_trace(path))
    if trace is None:
        if any(path.rglob("c/*")):
            case.found("chunks were written, and the trace does not open")
        return
    case.door("validate", lambda: validate(trace, laws=True))
    held = np.asarray(trace["tokens"].values)
    whole = ~np.isnan(held).any(axis=1)
    expected = np.asarray(_tokens())[: len(held)]
    if (held[whole] != expected[whole]).any():
        case.found("a finished sequence is another one")
    blocks = trace.attrs.get("blocks", [])
    finished = max((stop for start, stop, *_ in blocks[:-1]), default=0)
    if not whole[:finished].all():
        case.found(f"{finished} sequences were finished, {int(whole[:finished].sum())} are there")


def auditing(case: Case) -> None:
    """An audit killed at some time draws no finished batch again, and says the same."""
    reference = json.loads(originals._kept("killed.json", _whole_audit).read_text())
    after = case.rng.random() * 4
    case.describe(f"killed after {after:.2f} s")
    _start(case.folder, AUDIT).kill_after(after)
    kept = len(list((case.folder / "kept").glob("batch-*.zarr")))
    second = _start(case.folder, AUDIT)
    if second.finish() != 0:
        case.found(f"could not go on: {second.said('err')[-300:]}")
        return
    verdict = json.loads((case.folder / "verdict.json").read_text())
    if verdict != reference["verdict"]:
        case.found(f"another verdict: ln E {verdict['log_e_value']}, not {reference['verdict']['log_e_value']}")
    if (drawn := second.said("out").count("batch")) + kept != reference["batches"]:
        case.found(f"{kept} batches were kept and {drawn} drawn of {reference['batches']}")


def _whole_audit(file: Any) -> None:
    folder = file.with_name(file.name + "-run")
    folder.mkdir()
    whole = _start(folder, AUDIT)
    assert whole.finish() == 0, whole.said("err")
    verdict = json.loads((folder / "verdict.json").read_text())
    file.write_text(json.dumps({"verdict": verdict, "batches": whole.said("out").count("batch")}))
