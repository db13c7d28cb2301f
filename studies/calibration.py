"""How often are lossless decoders refuted? Audits of right decoders, looked at after every sequence.

Run ``python -m studies.calibration``; the result is written to ``studies/results/calibration.json``. For each audit the
largest ln E over all sequences is kept, which is optional stopping at its worst: an audit of level alpha refutes iff it
reaches ln(1/alpha). Ville's inequality bounds the rate by alpha. Models share the seeds of a method, so audits of
different models are not quite independent, and the intervals of their rates a little too short. What a trace does not
hold the audit works out from what it does, so traces that hold less are audited, too; and every exact rule that is
known, as a kernel and in a decoder's trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from reference import Method, TabularModel, coupling_mixture, decode, get_method
from scd_analysis import audit
from scd_analysis.common.parallel import side_by_side
from scd_analysis.evidence.pit import randomised_pit
from scd_analysis.subjects import kernel, recorded
from scd_analysis.trace.schema import SCALARS_OF_LAWS
from studies.exact_rules import (
    LookedUp,
    Loop,
    Noisy,
    Uniform,
    as_kernel,
    block,
    exact_match,
    gumbel_match,
    point_mass,
    rejection,
)
from studies.store import Rows, command_line, run_main, save

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


RULES: dict[str, dict[str, Any]] = {
    "mrs": {"rule": rejection, "declared": "laws"},
    "exact match": {"rule": exact_match, "declared": "laws"},
    "exact match, point masses": {"rule": point_mass},
    "block": {"rule": block, "declared": "laws"},
    "gumbel match": {"rule": gumbel_match, "declared": "laws", "noise": Noisy},
    "quantile match": {"rule": gumbel_match, "declared": "laws", "noise": Uniform},
}
OF_KERNELS = tuple(name for name, options in RULES.items() if "noise" not in options)
"""The noise of a race is the decoder's, and a kernel by itself has none."""

OF_RULES, KERNELS = "trace of a rule", "kernel"
WINDOWS = {f"V = {v}, L = {window}": (v, window) for v, window in ((2, 2), (3, 4), (3, 6), (4, 1), (4, 4), (8, 3))}
"""Of kernels, whose laws the audit makes up."""

GRADES = ("samples", *MISSING, OF_RULES, KERNELS)


def audits(task: tuple[str, int, int, str]) -> dict[str, Any]:
    """Audit one decoder on one model many times: the largest ln E of each, and a histogram of the PIT."""
    name, number, count, grade = task
    if grade in (OF_RULES, KERNELS):
        subjects = [of_rule(*task, i) for i in range(count)]
        model = MODELS[name]() if grade == OF_RULES else None
        return {"model": name, "method": method_of(task), "grade": grade, "largest": largest(subjects, model)}
    model, method = MODELS[name](), METHODS[number]
    record = "laws" if grade in MISSING else None
    out = decode(model, method, 3, count * SEQUENCES, seed=number, record=record, progress=False)
    trace = None if out.trace is None else without(out.trace, MISSING[grade])
    parts = [slice(i * SEQUENCES, (i + 1) * SEQUENCES) for i in range(count)]
    recordings = [recorded(out.tokens[part]) if trace is None else trace.isel(sequence=part) for part in parts]
    return {"model": name, "method": method_of(task), "grade": grade, "largest": largest(recordings, model)}


def largest(subjects: list[Any], model: Any) -> list[float]:
    """The largest ln E of each audit, over all sequences."""
    verdicts = [
        audit(subject, model, alpha=1e-12, max_sequences=SEQUENCES, seed=seed, progress=False)
        for seed, subject in enumerate(subjects)
    ]
    return [float(verdict.record["largest_log_e_value"]) for verdict in verdicts]


def of_rule(name: str, number: int, count: int, grade: str, seed: int) -> Any:
    """A subject that verifies by an exact rule: a kernel, or a decoder that drafts with a model of its own."""
    options = dict(list(RULES.values())[number])
    if grade == KERNELS:
        vocab_size, window = WINDOWS[name]
        return kernel(as_kernel(options["rule"]), output="list", numpy=True, vocab_size=vocab_size, window=window)
    draft = TabularModel.random(MODELS[name]().vocab_size, MODELS[name]().num_tokens, 1.0, seed=seed)
    return Loop(**options, draft=LookedUp(draft))


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


def cells(totals: dict[str, int], models: Iterable[str], methods: int) -> list[tuple[str, int, int, str]]:
    """Tasks: a number of audits of every method on every model, for each grade."""
    named = list(models)
    return [
        (name, number, total // (len(named) * methods), grade)
        for grade, total in totals.items()
        for name in named
        for number in range(methods)
    ]


def method_of(task: tuple[str, int, int, str]) -> str:
    """Name the method, or the rule, of a task."""
    return list(RULES)[task[1]] if task[3] in (OF_RULES, KERNELS) else METHODS[task[1]].name


def main() -> None:
    """Audit, print and store."""
    args = command_line(
        __doc__,
        samples=(10_080, "audits of tokens"),
        traces=(504, "audits of traces of each kind"),
        rules=(540, "audits of traces of rules"),
        kernels=(2_040, "audits of kernels"),
        jobs=1,
    ).parse_args()
    rows = Rows("calibration", ("model", "method", "grade"), fresh=args.fresh)
    totals = {"samples": args.samples, **dict.fromkeys(MISSING, args.traces)}
    tasks = cells(totals, MODELS, len(METHODS)) + cells({OF_RULES: args.rules}, MODELS, len(RULES))
    tasks += cells({KERNELS: args.kernels}, WINDOWS, len(OF_KERNELS))
    tasks = [task for task in tasks if not rows.has(task[0], method_of(task), task[3])]
    for row in side_by_side(audits, tasks, args.jobs):
        rows.add(row)
    grid = [(name, number) for name in MODELS for number in range(len(METHODS))]
    pit = np.sum([pit_histogram(*cell, seed=1_000 + i) for i, cell in enumerate(grid)], axis=0)
    by_grade = {g: [x for row in rows.rows if row["grade"] == g for x in row["largest"]] for g in GRADES}
    content = {
        "sequences_an_audit": SEQUENCES,
        "models": list(MODELS),
        "methods": [method.name for method in METHODS],
        "rules": list(RULES),
        "windows": list(WINDOWS),
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
    run_main(main)
