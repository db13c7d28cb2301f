"""How many images does it take to refute a faulty decoder of ``digits``? Its joint cells cannot be counted.

Run ``python -m studies.power_digits``; the result is written to ``studies/results/power_digits.json``. All at one error
rate, 1e-2: the audit of tokens and of traces, and the tests in use, whose thresholds come from right decoders. A test
in use compares a sample with one of a right decoder, or its pooled tokens with theirs, and needs the fewest images on a
grid at which it has power 0.9.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from reference import decode
from reference.broken import Fault, faults
from scd_analysis import Outcome, Verdict, audit
from scd_analysis.conditions import Condition
from scd_analysis.subjects import recorded
from studies import rivals
from studies.store import Rows, command_line, run_main, save
from studies.verdict_table import WINDOW, Rule, model_of

QUESTION = "images until faulty decoders of digits are refuted, against the tests in use, at one error rate"
ALPHA = 1e-2
GRID = (32, 64, 128, 256, 512, 1024, 2048, 4096)
NULL_RUNS, RUNS = 400, 40
AUDITED, MOST_AUDITS = 2048, 32
"""Images that an audit may see, and audits of a fault's tokens."""

CONDITIONS = [condition.value for condition in Condition]


def statistics(mine: np.ndarray, right: np.ndarray, vocab_size: int, rng: np.random.Generator) -> dict[str, float]:
    """The tests in use on two samples of equal size."""
    pooled = np.bincount(right.ravel(), minlength=vocab_size) / right.size
    tokens = rng.permutation(mine.ravel())
    return {
        "chi-square": rivals.two_sample_chi_square(mine, right, vocab_size),
        "mmd": rivals.mmd_hamming(mine, right, vocab_size),
        "convergence-ratio": rivals.convergence_ratio(tokens, pooled, rng, 10, len(tokens)),
    }


def draw(pool: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """A subset of a pool."""
    return pool[rng.choice(len(pool), size=count, replace=False)]


def thresholds(right: np.ndarray, vocab_size: int) -> dict[int, dict[str, float]]:
    """What right decoders exceed with the stated probability, by sample size."""
    rng, out = np.random.default_rng(0), {}
    half = len(right) // 2
    for count in GRID:
        runs = [
            statistics(draw(right[:half], count, rng), draw(right[half:], count, rng), vocab_size, rng)
            for _ in range(NULL_RUNS)
        ]
        out[count] = {name: float(np.quantile([run[name] for run in runs], 1 - ALPHA)) for name in runs[0]}
    return out


def sizes_in_use(
    pool: np.ndarray, right: np.ndarray, vocab_size: int, limits: dict[int, dict[str, float]]
) -> dict[str, int | None]:
    """Fewest images on the grid at which each test refutes nine times out of ten; None beyond the grid."""
    rng, needed = np.random.default_rng(1), dict.fromkeys(limits[GRID[0]])
    for count in GRID:
        runs = [statistics(draw(pool, count, rng), draw(right, count, rng), vocab_size, rng) for _ in range(RUNS)]
        for name, found in needed.items():
            if found is None and np.mean([run[name] > limits[count][name] for run in runs]) >= 0.9:
                needed[name] = count
    return needed


def mean_stop(verdicts: list[Verdict]) -> tuple[float, float]:
    """Mean sequences until an audit refutes (the limit where it does not), and the share that do."""
    refuted = np.mean([v.outcome is Outcome.REFUTED for v in verdicts])
    return float(np.mean([v.num_sequences for v in verdicts])), float(refuted)


def audits_of_tokens(pool: np.ndarray, model: Any) -> list[Verdict]:
    """Audits one after another, each of the images that the one before left."""
    verdicts: list[Verdict] = []
    start = 0
    while start + AUDITED <= len(pool) and len(verdicts) < MOST_AUDITS:
        subject = recorded(pool[start : start + AUDITED])
        verdicts.append(audit(subject, model, ALPHA, seed=len(verdicts), progress=False))
        start += verdicts[-1].num_sequences
    return verdicts


def measure(fault: Fault, repeats: int) -> dict[str, Any]:
    """Audits of one fault."""
    model = model_of(Rule(fault.name, None, fault))
    pool = pool_of(fault, repeats * AUDITED)
    traced = fault.decode(model, WINDOW, 256, 1, "laws").trace
    assert traced is not None
    cut = 256 // repeats
    by_tokens = audits_of_tokens(pool, model)
    samples, samples_refuted = mean_stop(by_tokens)
    parts = [traced.isel(sequence=slice(i * cut, (i + 1) * cut)) for i in range(repeats)]
    traces, traces_refuted = mean_stop(
        [audit(part, model, ALPHA, seed=i, progress=False) for i, part in enumerate(parts)]
    )
    return {
        "fault": fault.name,
        "condition": fault.condition.value,
        "samples_audits": len(by_tokens),
        "samples_mean": samples,
        "samples_refuted": samples_refuted,
        "trace_mean": traces,
        "trace_refuted": traces_refuted,
    }


def pool_of(fault: Fault, count: int) -> np.ndarray:
    """The first images of a faulty decoder: audits and tests in use see the same."""
    model = model_of(Rule(fault.name, None, fault))
    return np.asarray(fault.decode(model, WINDOW, count, 0).tokens.numpy())


def measure_in_use(missing: list[Fault], rows: Rows) -> None:
    """The tests in use, for faults that were not measured yet."""
    model = model_of(Rule("right", None, None))
    right = decode(model, "sjd", WINDOW, 4 * GRID[-1], seed=7, record=None, progress=False).tokens.numpy()
    limits = thresholds(right, model.vocab_size)
    for fault in missing:
        needed = sizes_in_use(pool_of(fault, GRID[-1]), right, model.vocab_size, limits)
        rows.add({"fault": fault.name, "in_use": needed, "beyond": GRID[-1]})


def main() -> None:
    """Measure every fault of the decoder, print and store."""
    parser = command_line(__doc__, repeats=4)
    parser.add_argument("--conditions", nargs="*", help="only faults that break one of these")
    parser.add_argument("--faults", nargs="*", help="only these")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = Rows("power_digits", ("fault",), fresh=args.fresh)
    in_use = Rows("power_digits_in_use", ("fault",), fresh=args.fresh)
    chosen = [f for f in faults().values() if _is_fast(f) and f.condition.value in (args.conditions or CONDITIONS)]
    chosen = [f for f in chosen if args.faults is None or f.name in args.faults]
    for fault in chosen:
        if not rows.has(fault.name):
            rows.add(measure(fault, args.repeats))
    if missing := [fault for fault in chosen if not in_use.has(fault.name)]:
        measure_in_use(missing, in_use)
    known = in_use.beside({row["fault"]: row for row in rows.rows}, "in_use")
    content = {"model": "digits", "window": WINDOW, "alpha": ALPHA, "grid": GRID, "audited": AUDITED}
    content["repeats"] = args.repeats
    content["conditions"] = args.conditions or CONDITIONS
    save("power_digits", QUESTION, {**content, "rows": [known[fault.name] for fault in chosen]})


def _is_fast(fault: Fault) -> bool:
    """Faults that run with the model's cache; those of the target ask for every row at every pass."""
    return fault.condition.value != "target" and fault.name != "zero-accepted"


if __name__ == "__main__":
    run_main(main)
