"""What does guidance do to the passes? Sweep of its scale, on ``photos`` given its photographs.

Run ``python -m studies.guidance``; the result is written to ``studies/results/guidance.json``. Guidance belongs to the
target law, so that every scale is another law, sampled without loss; its mean entropy is stored beside the passes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from reference import load_model
from studies.passes import gains, passes_and_entropy, stratified, with_ends
from studies.store import Rows, command_line, run_main, save

QUESTION = "passes by scale of classifier-free guidance"
METHODS = ("sjd", "scd-mc", "scd-gs")
SCALES = (1.0, 1.5, 2.0, 3.0, 5.0)
CLASSES = ("astronaut", "coffee", "rocket", "hubble", "china", "flower")
WINDOW = 32


def measure(method: str, scale: float, num_sequences: int, seed: int) -> dict[str, Any]:
    """Passes and entropy over all photographs, intervals over the sequences within each."""
    found, length = [], 0
    for number, name in enumerate(CLASSES):
        model = load_model("photos", name, guidance=scale)
        found.append(passes_and_entropy(model, method, WINDOW, num_sequences, seed + number))
        length = model.num_tokens
    return {
        "method": method,
        "guidance": scale,
        "n": num_sequences * len(CLASSES),
        **gains(*stratified([passes for passes, _ in found]), length),
        **with_ends("entropy", *stratified([values for _, values in found])),
        "speedup_by_class": {
            name: length / float(np.mean(passes)) for name, (passes, _) in zip(CLASSES, found, strict=True)
        },
    }


def main() -> None:
    """Measure every setting, print and store."""
    args = command_line(__doc__, num_sequences=(4, "a photograph"), seed=0).parse_args()
    torch.set_num_threads(1)
    rows = Rows("guidance", ("method", "guidance"), fresh=args.fresh)
    for method in METHODS:
        for scale in SCALES:
            if not rows.has(method, scale):
                rows.add(measure(method, scale, args.num_sequences, args.seed))
    content = {
        "model": "photos",
        "bits_per_token_held_out": load_model("photos").card["bits_per_token_held_out"],  # type: ignore[attr-defined]
        "classes": list(CLASSES),
        "window": WINDOW,
        "num_sequences": args.num_sequences,
        "seed": args.seed,
        "rows": rows.rows,
    }
    save("guidance", QUESTION, content)


if __name__ == "__main__":
    run_main(main)
