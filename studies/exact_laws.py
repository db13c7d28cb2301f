"""What do planted faults and rivals really sample? The exact law of each on a small model, and its distance.

Run ``python -m studies.exact_laws``; the result is written to ``studies/results/exact_laws.json``. From the relative
entropy follows the least expected number of sequences after which any test of level alpha can refute (Stein).
"""

from __future__ import annotations

import math
import time
from typing import Any

from reference.broken import Fault, faults
from scd_analysis import exact_law
from scd_analysis.exact import exact_target_law
from scd_analysis.exact.loop import as_loop
from studies.store import Rows, command_line, load, run_main, save

QUESTION = "exact law of every planted fault on its small model: total variation, relative entropy, Stein's limit"


def write_out(fault: Fault) -> dict[str, Any]:
    """Enumerate a fault's law.

    A fault whose sequences are dependent, two by two the same, has half of the target's entropy a sequence as its
    relative entropy: the second of a pair is certain.
    """
    model, start = fault.model(), time.monotonic()
    target = exact_target_law(model)
    law = exact_law(as_loop(fault.loop(model, fault.window)), intercept=False)
    cells = sorted({*target, *law.probabilities})
    probs = {cell: float(law.probabilities.get(cell, 0.0)) for cell in cells}
    wanted = {cell: float(target.get(cell, 0.0)) for cell in cells}
    outside = math.fsum(p for cell, p in probs.items() if wanted[cell] == 0)
    pairs = [(p, wanted[cell]) for cell, p in probs.items() if p > 0 and wanted[cell] > 0]
    entropy = math.fsum(p * math.log(p / q) for p, q in pairs) if outside == 0 else 0.0
    if fault.name == "one-seed-for-two":
        entropy = -math.fsum(q * math.log(q) for q in map(float, target.values()) if q > 0) / 2
    return {
        "fault": fault.name,
        "condition": fault.condition.value,
        "summary": fault.summary,
        "rival": fault.rival,
        "window": fault.window,
        "vocab_size": model.vocab_size,
        "num_tokens": model.num_tokens,
        "total_variation": float(law.total_variation(target)),
        "relative_entropy_nats": entropy,
        "outside_support": outside,
        "seconds": time.monotonic() - start,
        "law": [probs[cell] for cell in cells],
        "target": [wanted[cell] for cell in cells],
        "cells": ["".join(map(str, cell)) for cell in cells],
    }


def laws() -> dict[str, dict[str, Any]]:
    """The stored laws by fault."""
    return {row["fault"]: row for row in load("exact_laws")["rows"]}


def stein_limit(row: dict[str, Any], alpha: float) -> float:
    """Fewest expected sequences of any test of level alpha; with mass outside the support, also until it is met."""
    if row["outside_support"] > 0:  # one sequence that the target excludes is enough
        return 1 / float(row["outside_support"])
    return math.log(1 / alpha) / float(row["relative_entropy_nats"])


def main() -> None:
    """Enumerate every fault, print and store."""
    args = command_line(__doc__).parse_args()
    rows = Rows("exact_laws", ("fault",), fresh=args.fresh)
    for name, fault in faults().items():
        if not rows.has(name):
            rows.add(write_out(fault))
    known = {row["fault"]: row for row in rows.rows}
    save("exact_laws", QUESTION, {"rows": [known[name] for name in faults()]})


if __name__ == "__main__":
    run_main(main)
