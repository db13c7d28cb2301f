"""Cost of verification, coupling and the scalars of a trace, in readings of the laws.

Run ``python -m studies.bench_laws``; the result is written to ``studies/results/bench_laws.json``. The unit is the
floor, ``draft.sum(), target.sum()``, timed in the same rounds: with laws that were just used (in the cache, as far as
they fit) and with laws that were not. ``simple`` is what a straightforward implementation does: a random number for
every token of the vocabulary for every draw. The Gumbel collision is not a sum over one reading; it is timed by
itself, beside the sort that gives it exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.draws import inverse_cdf
from reference.fast.blocks import race_winner
from reference.fast.scan import collision_gumbel, law_scalars
from reference.verification import verify
from scd_analysis.laws import kernels
from studies.store import Rows, command_line, run_main, save
from studies.timing import compiling, in_turns, ratios

SHAPES = (
    *((1, 64, v) for v in (1024, 2048, 4096, 8192, 16384, 32768, 65536)),
    *((1, window, 16384) for window in (8, 16, 32, 128)),
    *((batch, 16, 4096) for batch in (1, 4, 16)),
)
FLOOR = "floor"


Device = torch.device | str


def make_laws(shape: tuple[int, int, int], seed: int, device: Device = "cpu") -> tuple[Tensor, Tensor]:
    """Two softmax laws of independent normal logits with standard deviation 2, float32."""
    generator = torch.Generator(device).manual_seed(seed)
    logits = (torch.randn(shape, generator=generator, device=device) for _ in range(2))
    target, draft = (torch.softmax(2 * row, -1) for row in logits)
    return target, draft


def simple_verify(target: Tensor, draft: Tensor, tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
    """MRS as it is often written, and the scalars one by one."""
    p, q = (law.gather(-1, tokens[..., None])[..., 0] for law in (target, draft))
    accepted = torch.rand(tokens.shape, device=p.device) < p / q
    residual = (target - draft).clamp(min=0)
    residual = residual / residual.sum(-1, keepdim=True)
    drawn = torch.multinomial(residual.flatten(0, 1), 1).view(tokens.shape)
    scalars = [kernels.total_variation(target, draft), kernels.collision_independent(target, draft)]
    scalars += [kernels.entropy(target), kernels.renyi2_entropy(target)]
    return torch.where(accepted, tokens, drawn), scalars


def simple_gumbel(target: Tensor) -> Tensor:
    """A fresh vector of Gumbel noise for every slot, and logarithms."""
    noise = -torch.log(-torch.log(torch.rand_like(target).clamp_(1e-10, 1 - 1e-7)))
    return (target.log() + noise).argmax(-1)


def eager(function: Callable[..., Any]) -> Callable[..., Any]:
    """What :func:`reference.fast.compiling.compiled_where_large` compiles."""
    original: Callable[..., Any] = getattr(function, "__wrapped__")  # noqa: B009 - no type knows of it
    return original


def jobs(shape: tuple[int, int, int], seed: int, device: Device = "cpu") -> dict[str, Callable[[], Any]]:
    """Everything that is timed at one size."""
    target, draft = make_laws(shape, seed, device)
    uniform, other = (torch.rand(shape[:2], dtype=torch.float64, device=device) for _ in range(2))
    tokens = inverse_cdf(draft, uniform)
    race = torch.empty_like(target).exponential_()

    given = (target, draft, tokens, uniform, other)
    out: dict[str, Callable[[], Any]] = {FLOOR: lambda: (draft.sum(), target.sum())}
    for name, verification, winner in (("compiled", verify, race_winner), ("eager", eager(verify), eager(race_winner))):
        out |= {
            f"verify, {name}": partial(verification, *given),
            f"verify and scalars, {name}": partial(verification, *given, True),
            f"Gumbel draft, {name}": partial(winner, target, race),
        }
    return out | {
        "independent draft, eager": partial(inverse_cdf, target, uniform),
        "Gumbel collision, eager": partial(collision_gumbel, target, draft),
        "verify and scalars, simple": lambda: simple_verify(target, draft, tokens),
        "Gumbel draft, simple": lambda: simple_gumbel(target),
        "independent draft, simple": lambda: torch.multinomial(target.flatten(0, 1), 1),
        "Gumbel collision, simple": lambda: kernels.collision_gumbel(target, draft),
    }


def errors(shape: tuple[int, int, int], seed: int) -> dict[str, float]:
    """How far compiled scalars and merged Gumbel collisions are from exact ones in float64."""
    target, draft = make_laws(shape, seed)
    exact = kernels.collision_gumbel(target.double(), draft.double())
    merged = collision_gumbel(target, draft).double() - exact
    with compiling("always"):
        uniform, other = (torch.rand(shape[:2], dtype=torch.float64) for _ in range(2))
        scalars = verify(target, draft, inverse_cdf(draft, uniform), uniform, other, True).scalars
    reference = law_scalars(target.double(), draft.double())
    assert scalars is not None
    worst = max(float((a.double() - b).abs().max()) for a, b in zip(scalars, reference, strict=True))
    return {
        "gumbel_error_mean": float(merged.mean()),
        "gumbel_error_max": float(merged.abs().max()),
        "scalar_error_max": worst,
    }


def exponent(rows: list[dict[str, Any]], job: str, vary: str, fixed: dict[str, int]) -> float:
    """Slope of log time against log size."""
    chosen = [r for r in rows if r["job"] == job and not r["cached"] and all(r[k] == v for k, v in fixed.items())]
    return float(np.polyfit(np.log([r[vary] for r in chosen]), np.log([r["ms"] for r in chosen]), 1)[0])


def main() -> None:
    """Time every size, resumably; print and store."""
    args = command_line(__doc__, rounds=60, seed=0).parse_args()
    torch.manual_seed(args.seed)
    kept = Rows("bench_laws", ("batch", "window", "vocab_size"), fresh=args.fresh)
    for shape in SHAPES:
        if not kept.has(*shape):
            torch.compiler.reset()  # a compiled function for this size, not for any
            todo = jobs(shape, args.seed)
            sizes = dict(zip(("batch", "window", "vocab_size"), shape, strict=True))
            for cached in (True, False):
                with compiling("always"):
                    times = in_turns(todo, args.rounds, cached=cached)
                for job, numbers in ratios(times, FLOOR).items():
                    kept.add({**sizes, "job": job, "cached": cached, **numbers})
    rows = kept.rows
    varied = {
        "vocab_size": {"batch": 1, "window": 64},
        "window": {"batch": 1, "vocab_size": 16384},
        "batch": {"window": 16, "vocab_size": 4096},
    }
    fitted = {
        f"{job} by {vary}": exponent(rows, job, vary, fixed)
        for job in sorted({r["job"] for r in rows})
        for vary, fixed in varied.items()
    }
    content = {
        "threads": torch.get_num_threads(),
        "rounds": args.rounds,
        "seed": args.seed,
        "errors_at_65536": errors((1, 64, 65536), args.seed),
        "exponents": fitted,
        "rows": rows,
    }
    save("bench_laws", "cost of verification, coupling and scalars, in readings of the laws", content)


if __name__ == "__main__":
    run_main(main)
