"""Damaged and rewritten traces, through every door that a trace goes through.

Nothing but an error of ours may come of them; a lossless record that was damaged is never refuted, and a fault that is
still in what was recorded never passes with "not refuted".
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from scd_analysis import Outcome, Verdict
from scd_analysis.figures import rendering
from scd_analysis.report import write_report
from scd_analysis.trace import open_trace, validate
from scd_analysis.trace.summary import summarise
from tests.fuzz import originals, stores, values
from tests.fuzz.case import Case
from tests.fuzz.markup import new_markup

RECORDS = ("laws", "laws", "laws", "laws-float16", "laws-top-2", "scalars")
FIGURES = (
    "acceptance_lengths", "acceptance_map", "acceptance_trajectories", "collision_by_age", "collision_histograms",
    "collision_vs_tv", "entropy_acceptance", "hamming_by_lag",
)  # fmt: skip


def mutated(case: Case) -> None:
    """One mutation of one trace."""
    fault = case.rng.random() < 0.4
    record = case.rng.choice(RECORDS)
    name = case.rng.choice(originals.FAULTS)
    source = originals.faulty(name) if fault else originals.lossless(record)
    case.describe(source.name)
    path = case.folder / "run.zarr"
    shutil.copytree(source, path)
    stays, may_refute = True, False
    if case.rng.random() < 0.4:
        done = values.rewrite(case, path)
        stays, may_refute = done.fault_stays, done.may_refute
        case.describe(done.description)
    else:
        mutation = case.rng.choice(stores.MUTATIONS)
        case.describe(mutation(case, path))
        stays = mutation not in (stores.change_chunk, stores.odd_chunk_names)  # a chunk may hold other tokens now
    if case.rng.random() < 0.25:
        path = stores.zipped(case, path)
    with_model = record != "laws" or case.rng.random() < 0.5
    verdict = doors(case, path, with_model)
    before = originals.verdict_of(source, with_model) if verdict is not None else ""
    judge(case, verdict, before, stays=stays and fault, may_refute=may_refute)


def flipped(case: Case) -> None:
    """One recorded value of a lossless trace, flipped: the same side, or an error."""
    source = originals.lossless("laws")
    path = case.folder / "run.zarr"
    shutil.copytree(source, path)
    case.describe(values.flip_one(case, path))
    with_model = case.rng.random() < 0.5
    target = originals.model() if with_model else None
    verdict = case.door("audit", lambda: originals.audit(path, target))
    judge(case, verdict, originals.verdict_of(source, with_model), stays=False, may_refute=False)


def doors(case: Case, path: Path, with_model: bool) -> Verdict | None:
    """Go through the doors that open, and say what the audit said."""
    trace = case.door("open_trace", lambda: open_trace(path))
    if trace is not None:
        case.door("validate", lambda: validate(trace, laws=True))
        case.door("summarise", lambda: _summary(case, trace))
    target = originals.model() if with_model else None
    verdict = case.door("audit", lambda: originals.audit(path, target))
    if case.rng.random() < 0.3:
        page = case.folder / "page.html"
        written = case.door("report", lambda: write_report(page, verdict, path))
        if written is None and page.exists():
            case.found("report: left a page behind although it failed")
        if written is not None and (bad := new_markup(page.read_text(encoding="utf-8"))):
            case.found(f"report: {bad}")
    if case.rng.random() < 0.2:
        figure = case.rng.choice(FIGURES)
        out = case.folder / "figures"
        case.door(f"figure {figure}", lambda: rendering.render([figure], trace=path, out=out))
    if (case.folder / "executed").exists():
        case.found("what the trace holds was executed")
    return verdict if isinstance(verdict, Verdict) else None


def _summary(case: Case, trace: Any) -> None:
    summary = summarise(trace)
    if not isinstance(summary, dict):
        case.found(f"summarise: returned {type(summary).__name__}")


def judge(case: Case, verdict: Verdict | None, before: str, *, stays: bool, may_refute: bool) -> None:
    """Whether a verdict changed sides."""
    if verdict is None:
        return
    outcome = verdict.outcome
    if before != Outcome.REFUTED.name and outcome is Outcome.REFUTED and not may_refute:
        case.found(f"a lossless record that was damaged is REFUTED: {str(verdict)[:600]}")
    whole = verdict.num_sequences >= originals.SEQUENCES
    if before == Outcome.REFUTED.name and outcome is Outcome.NOT_REFUTED and stays and whole:
        case.found(f"a fault that is still recorded is NOT_REFUTED: {str(verdict)[:600]}")
    if outcome is Outcome.NOT_REFUTED and not verdict.resolution <= originals.RESOLUTION:
        case.found(f"NOT_REFUTED with resolution {verdict.resolution}")
