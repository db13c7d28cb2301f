"""How often are lossless decoders refuted? Audits of right decoders, looked at after every sequence.

Run ``python -m studies.calibration``; the result is written to ``studies/results/calibration.json``. For each audit the
largest ln E over all sequences is kept, which is optional stopping at its worst: an audit of level alpha refutes iff it
reaches ln(1/alpha). Ville's inequality bounds the rate by alpha. Models share the seeds of a method, so audits of
different models are not quite independent, and the intervals of their rates a little too short. What a trace does not
hold the audit works out from what it does, so traces that hold less are audited, too.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from reference import Method, TabularModel, coupling_mixture, decode, get_method
from scd_analysis import audit
from scd_analysis.common.parallel import side_by_side
from scd_analysis.evidence.pit import randomised_pit
from scd_analysis.subjects import recorded
from scd_analysis.trace.schema import SCALARS_OF_LAWS
from studies.store import Rows, save

QUESTION = "rate at which audits refute lossless decoders, by alpha, under optional stopping"
ALPHAS = (0.5, 0.2, 0.1, 0.05, 0.01, 1e-3, 1e-6)
SEQUENCES = 200
PIT_SEQUENCES = 50_000
METHODS: tuple[Method, ...] = (
    get_method("sjd"),
    get_method("scd-mc"),
    get_method("scd-gs"),
    get_method("sjd-vp"),
    coupling_mixture("scd-mc", 0.5),
    replace(get_method("sjd"), name="sjd, left neighbour", initial="left"),
)
LAWS = ("draft_probs", "target_probs")
MISSING: dict[str, tuple[str, ...]] = {
    "trace": (),
    "trace without variates": ("uniform",),
    "trace without laws": LAWS,
    "trace of tokens and flags": (*LAWS, *SCALARS_OF_LAWS, "uniform", "age"),
}
"""Grades of traces, and the variables that they lack."""


def tied_model() -> TabularModel:
    """Laws with equal entries everywhere."""
    rng = np.random.default_rng(4)
    kinds = np.array([[0.4, 0.4, 0.2], [0.25, 0.25, 0.5], [1, 1, 1], [0.5, 0.0, 0.5]])
    kinds /= kinds.sum(1, keepdims=True)
    return TabularModel([kinds[rng.integers(len(kinds), size=3**k)] for k in range(4)])


MODELS: dict[str, Callable[[], TabularModel]] = {
    "peaked": lambda: TabularModel.random(2, 5, 0.3, seed=1),
    "usual": lambda: TabularModel.random(3, 4, 0.7, seed=2),
    "flat": lambda: TabularModel.random(4, 3, 5.0, seed=3),
    "zeros": lambda: TabularModel.random(3, 4, 0.7, seed=2, zeros=0.3),
    "ties": tied_model,
    "long": lambda: TabularModel.random(2, 18, 0.7, seed=5, grid=(3, 6)),
}


def audits(task: tuple[str, int, int, str]) -> dict[str, Any]:
    """Audit one decoder on one model many times: the largest ln E of each, and a histogram of the PIT."""
    name, number, count, grade = task
    model, method = MODELS[name](), METHODS[number]
    record = "laws" if grade in MISSING else None
    out = decode(model, method, 3, count * SEQUENCES, seed=number, record=record, progress=False)
    trace = None if out.trace is None else without(out.trace, MISSING[grade])
    largest = []
    for i in range(count):
        part = slice(i * SEQUENCES, (i + 1) * SEQUENCES)
        subject = recorded(out.tokens[part]) if trace is None else trace.isel(sequence=part)
        verdict = audit(subject, model, alpha=1e-12, max_sequences=SEQUENCES, seed=i, progress=False)
        largest.append(float(verdict.record["largest_log_e_value"]))
    return {"model": name, "method": method.name, "grade": grade, "largest": largest}


def without(trace: xr.Dataset, names: tuple[str, ...]) -> xr.Dataset:
    """The trace of a decoder that did not record these: laws are absent, anything else is masked."""
    masked = {name: trace[name].where(False) for name in names if name not in LAWS}
    return trace.drop_vars([name for name in names if name in LAWS]).assign(masked)


def pit_histogram(name: str, number: int, seed: int) -> np.ndarray:
    """Counts of the randomised PIT of all tokens in 20 bins; noise of its own, so that counts of cells add up."""
    model = MODELS[name]()
    tokens = decode(model, METHODS[number], 3, PIT_SEQUENCES, seed, record=None, progress=False).tokens
    laws = model.next_token_probs(tokens[:, :-1]).numpy()
    noise = np.random.default_rng(seed).random(tokens.shape)
    return np.bincount((randomised_pit(laws, tokens.numpy(), noise).ravel() * 20).astype(int), minlength=20)


def rates(largest: list[float], grade: str) -> list[dict[str, Any]]:
    """Share of audits that reach ln(1/alpha), with its exact 95% interval and the binomial bound of the claim."""
    values, out = np.array(largest), []
    for alpha in ALPHAS:
        hits, n = int((values >= math.log(1 / alpha)).sum()), len(values)
        low = float(stats.beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
        high = float(stats.beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
        most = int(stats.binom.ppf(0.999, n, alpha))
        out.append({"grade": grade, "alpha": alpha, "audits": n, "refuted": hits, "rate": hits / n, "low": low})
        out[-1] |= {"high": high, "most_allowed": most, "within": hits <= most}
    return out


def main() -> None:
    """Audit, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=12_024, help="audits of tokens")
    parser.add_argument("--traces", type=int, default=1_224, help="audits of traces of each kind")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="do not go on from an interrupted run")
    args = parser.parse_args()
    rows = Rows("calibration", ("model", "method", "grade"), fresh=args.fresh)
    cells = len(MODELS) * len(METHODS)
    tasks = [
        (name, number, total // cells, grade)
        for grade, total in {"samples": args.samples, **dict.fromkeys(MISSING, args.traces)}.items()
        for name in MODELS
        for number in range(len(METHODS))
        if not rows.has(name, METHODS[number].name, grade)
    ]
    for row in side_by_side(audits, tasks, args.jobs):
        rows.add(row)
    grid = [(name, number) for name in MODELS for number in range(len(METHODS))]
    pit = np.sum([pit_histogram(*cell, seed=1_000 + i) for i, cell in enumerate(grid)], axis=0)
    grades = ("samples", *MISSING)
    by_grade = {g: [x for row in rows.rows if row["grade"] == g for x in row["largest"]] for g in grades}
    content = {
        "sequences_an_audit": SEQUENCES,
        "models": list(MODELS),
        "methods": [method.name for method in METHODS],
        "pit_histogram": pit.tolist(),
        "pit_p_value": float(stats.chisquare(pit).pvalue),
        "quantiles_of_largest": {
            grade: {str(q): float(np.quantile(values, q)) for q in (0.5, 0.9, 0.99, 1.0)}
            for grade, values in by_grade.items()
        },
        "rows": [row for grade, values in by_grade.items() for row in rates(values, grade)],
    }
    save("calibration", QUESTION, content)


if __name__ == "__main__":
    main()
