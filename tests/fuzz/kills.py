"""A recording and an audit that are killed: nothing that was finished is lost, and going on gives the same verdict."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from functools import cache
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


def _start(case: Case, code: str, *words: str) -> Any:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=case.folder, env=environment(), stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def _kill_after(case: Case, process: Any, seconds: float) -> None:
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


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
    _kill_after(case, _start(case, RECORD, record), after)
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
    _kill_after(case, _start(case, AUDIT), after)
    kept = len(list((case.folder / "kept").glob("batch-*.zarr")))
    second = _start(case, AUDIT)
    out, err = second.communicate(timeout=150)
    if second.returncode != 0:
        case.found(f"could not go on: {err[-300:]}")
        return
    verdict = json.loads((case.folder / "verdict.json").read_text())
    if verdict != reference["verdict"]:
        case.found(f"another verdict: ln E {verdict['log_e_value']}, not {reference['verdict']['log_e_value']}")
    if (drawn := out.count("batch")) + kept != reference["batches"]:
        case.found(f"{kept} batches were kept and {drawn} drawn of {reference['batches']}")


def _whole_audit(file: Any) -> None:
    folder = file.with_name(file.name + "-run")
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", AUDIT], cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    verdict = json.loads((folder / "verdict.json").read_text())
    file.write_text(json.dumps({"verdict": verdict, "batches": done.stdout.count("batch")}))
