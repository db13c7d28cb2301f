"""Speed against distortion: what does each method, lossless or not, gain in passes and lose in law? On ``photos``.

Run ``python -m studies.methods_compared``; the result is written to ``studies/results/methods_compared.json``. Three
distances from the target law: exact total variation on a small model; the surprise of the tokens under the target in
excess of its entropy, zero on average without loss whatever the images are; and the total variation of codebook usage,
in excess of what two samples of a right decoder differ by.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import reference
from reference import Method, decode, get_method, load_model
from reference.broken import Fault, faults
from reference.broken.fault import small_model
from reference.models.base import TargetModel
from reference.plain import plain_decoder
from scd_analysis import exact_law
from scd_analysis.exact import exact_target_law
from scd_analysis.exact.loop import as_loop
from scd_analysis.laws.kernels import total_variation
from scd_analysis.trace.trajectories import mean_interval
from studies.exact_laws import laws
from studies.passes import speedup_row, with_ends
from studies.store import Rows, command_line, run_main, save

QUESTION = "speed-up against distance from the target law, by method"
METHODS = tuple(name for name in reference.METHODS if not get_method(name).greedy)
LEFT_OUT = ("rows-in-parallel",)
"""Its rule draws rows at a time, which our rendering of its law does not: its passes would say nothing of it."""

WINDOW = 32
REFERENCE_SEED = 99
RESAMPLES = 200


def exact_distance(method: Method) -> float:
    """Total variation between a method's exact law and the target's, on the small model of the faults."""
    model = small_model()
    law = exact_law(as_loop(plain_decoder(model, method, 3)), intercept=False)
    return float(law.total_variation(exact_target_law(model)))


@torch.inference_mode()
def surprise(model: TargetModel, tokens: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Bits a token of each sequence under the target, and the target's entropy along it."""
    bits, entropy = [], []
    for part in tokens.split(16):
        probs = model.next_token_probs(part[:, :-1]).double()
        logs = probs.clamp(min=1e-300).log2()
        bits.append(-logs.gather(-1, part[..., None])[..., 0].mean(1))
        entropy.append(-(probs * logs).sum(-1).mean(1))
    return torch.cat(bits).numpy(), torch.cat(entropy).numpy()


def usage(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """Codes used by each sequence, Int[S, V]."""
    return np.stack([np.bincount(row, minlength=vocab_size) for row in tokens])


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Total variation between the usages of two samples."""
    a, b = (counts.sum(0) / counts.sum() for counts in (first, second))
    return float(total_variation(a, b))


def excess(mine: np.ndarray, right: np.ndarray, seed: int) -> tuple[float, float, float]:
    """Distance of a sample to a right one, less that of two right ones; 95% interval by resampling sequences."""
    rng, half = np.random.default_rng(seed), len(right) // 2
    one, other = right[:half], right[half:]

    def once(i: np.ndarray, j: np.ndarray, k: np.ndarray) -> float:
        near = (distance(mine[i], one[j]) + distance(mine[i], other[k])) / 2
        return near - distance(one[j], other[k])

    value = once(np.arange(len(mine)), np.arange(half), np.arange(half))
    sizes = (len(mine), half, half)
    spread = 1.96 * float(np.std([once(*(rng.integers(n, size=n) for n in sizes)) for _ in range(RESAMPLES)]))
    return value, value - spread, value + spread


def measure(rule: Method | Fault, model: TargetModel, count: int, seed: int, right: np.ndarray) -> dict[str, Any]:
    """One row."""
    if isinstance(rule, Fault):
        out, exact = rule.decode(model, WINDOW, count, seed), float(laws()[rule.name]["total_variation"])
    else:
        out, exact = decode(model, rule, WINDOW, count, seed, record=None, progress=False), exact_distance(rule)
    bits, entropy = surprise(model, out.tokens)
    nll, over = mean_interval(bits), mean_interval(bits - entropy)
    return {
        "method": rule.name,
        "lossless": isinstance(rule, Method) and rule.lossless,
        "rival": isinstance(rule, Fault),
        "source": rule.source if isinstance(rule, Fault) else "",
        **speedup_row(out.nfe.numpy(), model.num_tokens),
        "exact_total_variation": exact,
        **with_ends("bits", nll.value, nll.low, nll.high),
        **with_ends("excess_bits", over.value, over.low, over.high),
        **with_ends("usage", *excess(usage(out.tokens.numpy(), model.vocab_size), right, seed=5)),
    }


def main() -> None:
    """Measure every method, print and store."""
    args = command_line(__doc__, num_sequences=64, seed=0).parse_args()
    torch.set_num_threads(1)
    rows, model = Rows("methods_compared", ("method",), fresh=args.fresh), load_model("photos")
    rivals = [fault for fault in faults().values() if fault.rival and fault.name not in LEFT_OUT]
    rules: list[Method | Fault] = [*map(get_method, METHODS), *rivals]
    missing = [rule for rule in rules if not rows.has(rule.name)]
    if missing:
        sample = decode(model, "scd-mc", WINDOW, 2 * args.num_sequences, REFERENCE_SEED, record=None, progress=False)
        right = usage(sample.tokens.numpy(), model.vocab_size)
        for rule in missing:
            rows.add(measure(rule, model, args.num_sequences, args.seed, right))
    known = {row["method"]: row for row in rows.rows}
    small = small_model()
    content = {
        "model": "photos",
        "bits_per_token_held_out": model.card["bits_per_token_null_class"],  # type: ignore[attr-defined]
        "small_model": {"vocab_size": small.vocab_size, "num_tokens": small.num_tokens, "window": 3},
        "uniform_bits": math.log2(model.vocab_size),
        "window": WINDOW,
        "num_sequences": args.num_sequences,
        "seed": args.seed,
        "reference": {"method": "scd-mc", "seed": REFERENCE_SEED, "num_sequences": 2 * args.num_sequences},
        "rows": [known[rule.name] for rule in rules],
    }
    save("methods_compared", QUESTION, content)


if __name__ == "__main__":
    run_main(main)
