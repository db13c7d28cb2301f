"""How much does the first draft of a position matter? Speed-up by method, window and initial draft, on ``photos``.

Run ``python -m studies.initial_drafts``; the result is written to ``studies/results/initial_drafts.json``. Every choice
declares the point mass on the draft as its law, so all of them are lossless; only the number of passes differs.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from reference import decode, get_method, load_model
from reference.methods import INITIAL_DRAFTS
from scd_analysis.common.parallel import side_by_side
from scd_analysis.trace.trajectories import mean_interval
from studies.passes import with_ends
from studies.store import FOLDER, run_main, save

METHODS = ("sjd", "scd-mc", "scd-gs")
WINDOWS = (16, 32, 64)


def measure(task: tuple[str, str, int, int, int]) -> dict[str, object]:
    """Mean passes of one setting, with a 95% interval, and the speed-up over one token a pass."""
    name, initial, window, num_sequences, seed = task
    model = load_model("photos")
    method = replace(get_method(name), initial=initial)
    out = decode(model, method, window, num_sequences, seed, record=None, progress=False)
    passes = mean_interval(out.nfe.double().numpy())
    return {
        "method": name,
        "initial": initial,
        "window": window,
        **with_ends("mean_nfe", passes.value, passes.low, passes.high),
        "speedup": model.num_tokens / passes.value,
    }


def main() -> None:
    """Measure every setting, two at a time, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-sequences", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the result")
    args = parser.parse_args()
    tasks = [(m, i, w, args.num_sequences, args.seed) for i in INITIAL_DRAFTS for w in WINDOWS for m in METHODS]
    rows = []
    for row in side_by_side(measure, tasks, 2, ordered=True):
        rows.append(row)
        print(f"{row['initial']:8} window {row['window']:3} {row['method']:7} {row['speedup']:.2f}", flush=True)
    card = load_model("photos").card  # type: ignore[attr-defined]
    content = {
        "model": "photos",
        "bits_per_token_held_out": card["bits_per_token_null_class"],
        "num_sequences": args.num_sequences,
        "seed": args.seed,
        "rows": rows,
    }
    save("initial_drafts", "speed-up by method, window and initial draft", content, args.out)


if __name__ == "__main__":
    run_main(main)
