"""How much faster does a stronger coupling make it? Passes by coupling strength, on ``photos``.

Run ``python -m studies.coupling_alpha``; the result is written to ``studies/results/coupling_alpha.json``. Strength 0
is SJD, 1 is SCD; every strength is lossless.
"""

from __future__ import annotations

import torch

from reference import coupling_mixture, decode, load_model
from studies.passes import speedup_row
from studies.store import Rows, command_line, run_main, save

QUESTION = "passes by coupling strength alpha"
METHODS = ("scd-mc", "scd-gs")
ALPHAS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
WINDOW = 32


def main() -> None:
    """Measure every setting, print and store."""
    args = command_line(__doc__, num_sequences=64, seed=0).parse_args()
    torch.set_num_threads(1)
    rows, model = Rows("coupling_alpha", ("method", "alpha"), fresh=args.fresh), load_model("photos")
    for method in METHODS:
        for alpha in ALPHAS:
            if rows.has(method, alpha):
                continue
            mixture = coupling_mixture(method, alpha)
            out = decode(model, mixture, WINDOW, args.num_sequences, args.seed, record=None, progress=False)
            rows.add({"method": method, "alpha": alpha, **speedup_row(out.nfe.numpy(), model.num_tokens)})
    content = {
        "model": "photos",
        "bits_per_token_held_out": model.card["bits_per_token_null_class"],  # type: ignore[attr-defined]
        "window": WINDOW,
        "num_sequences": args.num_sequences,
        "seed": args.seed,
        "rows": rows.rows,
    }
    save("coupling_alpha", QUESTION, content)


if __name__ == "__main__":
    run_main(main)
