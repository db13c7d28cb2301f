"""What does top-k do to the passes? Sweep of k, on ``photos``.

Run ``python -m studies.top_k``; the result is written to ``studies/results/top_k.json``. Top-k belongs to the target
law, so that every k is another law, sampled without loss; its mean entropy is stored beside the passes.
"""

from __future__ import annotations

import argparse

import torch

from reference import load_model
from scd_analysis.trajectories import mean_interval
from studies.passes import passes_and_entropy, speedup_row
from studies.store import Rows, save

QUESTION = "passes by the k of top-k sampling"
METHODS = ("sjd", "scd-mc", "scd-gs")
KS = (1, 3, 10, 30, 100, 1024)
WINDOW = 32


def main() -> None:
    """Measure every setting, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-sequences", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="do not go on from an interrupted run")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows, card = Rows("top_k", ("method", "k"), fresh=args.fresh), load_model("photos").card  # type: ignore[attr-defined]
    for k in KS:
        model = load_model("photos", top_k=k)
        for method in METHODS:
            if rows.has(method, k):
                continue
            nfe, values = passes_and_entropy(model, method, WINDOW, args.num_sequences, args.seed)
            entropy = mean_interval(values)
            laws = {"entropy": entropy.value, "entropy_low": entropy.low, "entropy_high": entropy.high}
            rows.add({"method": method, "k": k, **speedup_row(nfe, model.num_tokens), **laws})
    content = {
        "model": "photos",
        "bits_per_token_held_out": card["bits_per_token_null_class"],
        "window": WINDOW,
        "num_sequences": args.num_sequences,
        "seed": args.seed,
        "rows": rows.rows,
    }
    save("top_k", QUESTION, content)


if __name__ == "__main__":
    main()
