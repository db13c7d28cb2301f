"""How many sequences does it take to refute each planted fault? Against Stein's limit, and against the tests in use.

Run ``python -m studies.power``; the result is written to ``studies/results/power.json``. Small models: sequences are
drawn from the exact laws of ``studies.exact_laws``, which is the same as decoding, and much faster. With traces, the
faulty decoder itself runs. Everything is at one error rate a column: 1e-6 for stopping times and oracle sizes, 1e-2 for
the comparison with tests whose error rate has to be measured on right decoders.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from reference.broken import get_fault
from scd_analysis import Outcome, audit
from scd_analysis.trace.trajectories import mean_interval
from studies import rivals
from studies.exact_laws import laws, stein_limit
from studies.store import Rows, command_line, run_main, save

QUESTION = "sequences until each planted fault is refuted, against Stein's limit and against the tests in use"
ALPHA, LOOSE = 1e-6, 1e-2
FIXED = 20_000
CONVERGENCE = (10, 100_000)
NULL_RUNS, RUNS = 2_000, 200
ORACLE_POWER = (0.5, 0.9)
MRS = "mrs"
"""The rule that every decoder of the zoo claims to follow."""


def sampler(row: dict[str, Any]) -> Callable[[Any, int, int], np.ndarray]:
    """A subject that draws from a stored law; every two sequences alike for the fault that is just that."""
    cells = np.array([[int(x) for x in cell] for cell in row["cells"]])
    law = np.array(row["law"]) / math.fsum(row["law"])

    def draw(model: Any, num_sequences: int, seed: int) -> np.ndarray:
        chosen = np.random.default_rng(seed).choice(len(cells), size=num_sequences, p=law)
        if row["fault"] == "one-seed-for-two":
            chosen = np.repeat(chosen[: -(-num_sequences // 2)], 2)[:num_sequences]
        return cells[chosen]

    return draw


def stopping(
    subject: Any, model: Any, limit: int, repeats: int, alpha: float, rule: str | None = None
) -> dict[str, Any]:
    """Sequences at which audits of level alpha refute; those that do not count with the limit."""
    verdicts = [audit(subject, model, alpha, limit, seed=seed, rule=rule, progress=False) for seed in range(repeats)]
    counts = [v.num_sequences for v in verdicts]
    mean = mean_interval(np.array(counts, dtype=np.float64))
    refuted = [v for v in verdicts if v.outcome is Outcome.REFUTED]
    return {
        "refuted": len(refuted) / repeats,
        "mean": mean.value,
        "low": mean.low,
        "high": mean.high,
        "named": [str(v.condition.value) if v.condition else "" for v in refuted],
    }


def today(row: dict[str, Any], thresholds: dict[str, float], seed: int) -> dict[str, float]:
    """Share of runs in which each test in use refutes, at the loose level."""
    rng = np.random.default_rng(seed)
    law, target = (np.array(row[name]) / math.fsum(row[name]) for name in ("law", "target"))
    hits: dict[str, list[bool]] = {name: [] for name in thresholds}
    for _ in range(RUNS):
        for name, value in statistics(law, target, row, rng).items():
            hits[name].append(value > thresholds[name])
    return {name: float(np.mean(found)) for name, found in hits.items()}


def statistics(law: np.ndarray, target: np.ndarray, row: dict[str, Any], rng: np.random.Generator) -> dict[str, float]:
    """All statistics on one sample of a decoder with this law."""
    counts = rng.multinomial(FIXED, law)
    cells = np.array([[int(x) for x in cell] for cell in row["cells"]])
    mine, other = (cells[np.repeat(np.arange(len(cells)), c)] for c in (counts, rng.multinomial(FIXED, target)))
    stream = rng.choice(len(law), size=CONVERGENCE[1], p=law)
    return {
        "pearson": rivals.pearson(counts, target),
        "likelihood-ratio": rivals.likelihood_ratio(counts, target),
        "mmd": rivals.mmd_hamming(mine, other, row["vocab_size"]),
        "convergence-ratio": rivals.convergence_ratio(stream, target, rng, *CONVERGENCE),
    }


def calibrate(row: dict[str, Any], seed: int) -> dict[str, float]:
    """Thresholds of the loose level, from runs of a right decoder."""
    rng, target = np.random.default_rng(seed), np.array(row["target"]) / math.fsum(row["target"])
    runs = [statistics(target, target, row, rng) for _ in range(NULL_RUNS)]
    return {name: float(np.quantile([run[name] for run in runs], 1 - LOOSE)) for name in runs[0]}


def check_package(row: dict[str, Any]) -> float:
    """Largest difference between our discrepancy and that of ``model-equality-testing``, on two small samples."""
    from model_equality_testing.distribution import CompletionSample
    from model_equality_testing.tests import mmd_hamming

    rng = np.random.default_rng(0)
    cells = np.array([[int(x) for x in cell] for cell in row["cells"]])
    first, second = (cells[rng.integers(len(cells), size=n)] for n in (60, 80))
    samples = [CompletionSample(prompts=np.zeros(len(x), dtype=int), completions=x, m=1) for x in (first, second)]
    return abs(float(mmd_hamming(*samples)) - rivals.mmd_hamming(first, second, row["vocab_size"]))


def measure(row: dict[str, Any], limit: int, repeats: int, thresholds: dict[str, float]) -> dict[str, Any]:
    """One row of the result, but for the traces."""
    fault = get_fault(row["fault"])
    model, stein = fault.model(), stein_limit(row, ALPHA)
    law, target = (np.array(row[name]) / math.fsum(row[name]) for name in ("law", "target"))
    samples = stopping(sampler(row), model, limit, repeats, ALPHA)
    dependent = row["fault"] == "one-seed-for-two"
    rng = np.random.default_rng(3)
    sizes = {
        f"oracle_{power}": None if dependent else rivals.oracle_size(law, target, ALPHA, power, rng)
        for power in ORACLE_POWER
    }
    loose = stopping(sampler(row), model, FIXED, max(3, repeats // 3), LOOSE)
    return {
        "fault": row["fault"],
        "condition": row["condition"],
        "total_variation": row["total_variation"],
        "stein": stein,
        **{f"samples_{name}": value for name, value in samples.items() if name != "named"},
        "efficiency": stein / samples["mean"],
        **sizes,
        "audit_power": loose["refuted"],
        "audit_mean": loose["mean"],
        "power_today": None if dependent else today(row, thresholds, seed=1),
    }


def measure_traces(name: str, limit: int, repeats: int) -> dict[str, Any]:
    """The same fault seen through its traces: held to every exact rule that is known, and to the one that it claims."""
    fault = get_fault(name)
    columns: dict[str, Any] = {"fault": name}
    for prefix, rule in {"trace": None, "trace_mrs": MRS}.items():
        traced = stopping(fault.traced(fault.window), fault.model(), limit, repeats, ALPHA, rule)
        named = [condition == fault.condition.value for condition in traced.pop("named")]
        columns |= {f"{prefix}_{column}": value for column, value in traced.items()}
        columns[f"{prefix}_named_right"] = float(np.mean(named))
    return columns


def main() -> None:
    """Measure every fault, print and store."""
    args = command_line(__doc__, repeats=16, limit=400_000).parse_args()
    torch.set_num_threads(1)
    known, rows = laws(), Rows("power", ("fault",), fresh=args.fresh)
    traced = Rows("power_traces", ("fault",), fresh=args.fresh)
    thresholds: dict[str, dict[str, float]] = {}
    for name, row in known.items():
        if not rows.has(name):
            key = str((row["target"], row["num_tokens"]))
            if key not in thresholds:
                thresholds[key] = calibrate(row, seed=2)
            rows.add(measure(row, args.limit, args.repeats, thresholds[key]))
        if not traced.has(name):
            traced.add(measure_traces(name, args.limit, args.repeats))
    done = traced.beside({row["fault"]: row for row in rows.rows}, "traces")
    efficiency = [row["efficiency"] for row in done.values()]
    save(
        "power",
        QUESTION,
        {
            "alpha": ALPHA,
            "loose_alpha": LOOSE,
            "fixed_sample": FIXED,
            "convergence": CONVERGENCE,
            "repeats": args.repeats,
            "limit": args.limit,
            "median_efficiency": float(np.median(efficiency)),
            "least_efficiency": float(np.min(efficiency)),
            "difference_from_package": check_package(next(iter(known.values()))),
            "rows": [done[name] for name in known],
        },
    )


if __name__ == "__main__":
    run_main(main)
