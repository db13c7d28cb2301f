"""How the decoder's own time grows with tokens, sequences, window and vocabulary; the model costs next to nothing.

Run ``python -m studies.bench_scaling``; the result is written to ``studies/results/bench_scaling.json``. The model is a
table of laws by position, so that a pass is the decoder's own work. Time is a whole decode's where the number of tokens
varies, and a pass's elsewhere, since a wider window makes fewer of them. Exponents are slopes of log time against log
size over the upper half of the sizes, where fixed costs are behind.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference import decode
from studies.store import Rows, command_line, run_main, save
from studies.timing import compiling

METHODS = ("sjd", "scd-mc", "scd-gs")
BASE = {"tokens": 512, "batch": 16, "window": 16, "vocabulary": 256}
SIZES = {
    "tokens": (128, 256, 512, 1024, 2048, 4096, 8192),
    "batch": (1, 4, 16, 64, 256, 1024),
    "window": (4, 8, 16, 32, 64, 128, 256),
    "vocabulary": (64, 256, 1024, 4096, 16384, 65536),
}
NARROW = {"vocabulary": {"tokens": 128, "batch": 4}}
"""Other base sizes, where a decode would take too long."""


class PositionLaws:
    """A model whose laws depend on the position alone."""

    name = "laws by position"

    def __init__(self, vocab_size: int, num_tokens: int, seed: int, device: torch.device | str = "cpu") -> None:
        self.vocab_size, self.num_tokens = vocab_size, num_tokens
        generator = torch.Generator().manual_seed(seed)
        self._laws = torch.softmax(2 * torch.randn(64, vocab_size, generator=generator), -1).to(device)

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Float[B, t + 1, V]; positions 64 apart have the same law."""
        return self._laws[torch.arange(tokens.shape[1] + 1, device=self._laws.device) % 64].expand(len(tokens), -1, -1)

    def open_session(self, num_sequences: int, device: torch.device) -> PositionLaws:
        """The model itself: it keeps nothing."""
        return self

    def laws(self, tokens: Tensor, rows: Tensor, reach: int) -> Tensor:
        """Of the rows asked for."""
        return self._laws[rows % 64]

    def keep(self, index: Tensor) -> None:
        """Nothing to keep."""


def measure(method: str, sizes: dict[str, int], rounds: int, seed: int) -> dict[str, float]:
    """Median seconds of a decode, and passes of the whole batch."""
    model, seconds, passes = PositionLaws(sizes["vocabulary"], sizes["tokens"], seed), [], 0
    for turn in range(rounds + 1):  # the first warms up
        start = time.perf_counter()
        out = decode(
            model, method, sizes["window"], sizes["batch"], seed + turn, record=None,
            batch_size=sizes["batch"], progress=False,
        )  # fmt: skip
        seconds.append(time.perf_counter() - start)
        passes = int(out.nfe.max())
    return {"seconds": float(np.median(seconds[1:])), "passes": passes}


def exponent(rows: list[dict[str, Any]], method: str, vary: str) -> float:
    """Slope over the upper half of the sizes."""
    chosen = [row for row in rows if row["method"] == method and row["vary"] == vary]
    chosen = chosen[-(len(chosen) // 2 + 1) :]
    return float(np.polyfit(np.log([row[vary] for row in chosen]), np.log([row["ms"] for row in chosen]), 1)[0])


def main() -> None:
    """Time, print and store."""
    args = command_line(__doc__, rounds=3, seed=0).parse_args()
    kept = Rows("bench_scaling", ("vary", "method", *BASE), fresh=args.fresh)
    with compiling("never"):
        for vary, values in SIZES.items():
            for method in METHODS:
                for value in values:
                    sizes = BASE | NARROW.get(vary, {}) | {vary: value}
                    if not kept.has(vary, method, *(sizes[name] for name in BASE)):
                        found = measure(method, sizes, args.rounds, args.seed)
                        ms = found["seconds"] * 1e3 / (1 if vary == "tokens" else found["passes"])
                        kept.add({"vary": vary, "method": method, **sizes, **found, "ms": ms})
    content = {
        "threads": torch.get_num_threads(),
        "rounds": args.rounds,
        "seed": args.seed,
        "exponents": {vary: {method: exponent(kept.rows, method, vary) for method in METHODS} for vary in SIZES},
        "rows": kept.rows,
    }
    save("bench_scaling", "how the decoder's own time grows with the size of its task", content)


if __name__ == "__main__":
    run_main(main)
