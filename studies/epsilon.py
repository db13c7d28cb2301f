"""Is an audit up to epsilon right about epsilon? Decoders off by a known size, and the planted faults in bf16.

Run ``python -m studies.epsilon``; the result is written to ``studies/results/epsilon.json``. Three questions:

* *within*: decoders whose laws are off by epsilon, at epsilon. How often does ln E cross ln(1/alpha), by alpha, and is
  the size that is told ever above the truth?
* *twice*: decoders off by twice epsilon. How many sequences does it take, over those that epsilon = 0 takes for as
  much along one direction, and for the same decoder?
* *faults*: the planted faults, recorded with their laws in bf16, at epsilon = .01. Which are refuted, and named?
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reference import TabularModel
from reference.broken import get_fault
from reference.models.base import LikeModel, TargetModel
from reference.models.processors import GuidedModel
from scd_analysis import Outcome, audit
from studies.exact_laws import laws as exact_laws
from studies.store import Rows, command_line, run_main, save

QUESTION = "is what an audit up to epsilon says of epsilon right?"
SIZES, LARGE = (0.001, 0.01, 0.03, 0.1), (0.05, 0.1)
ALPHAS = (0.1, 0.01, 1e-3, 1e-6)
WITHIN_SEQUENCES, REPEATS, LIMIT = 300, 3, 60_000
EPSILON, FAULT_LIMIT = 0.01, 6_000
"""Of the faults in bf16: the radius, and sequences at most."""

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def small_model(seed: int) -> TabularModel:
    """Four tokens out of three, whose laws are far from points."""
    return TabularModel.random(vocab_size=3, num_tokens=4, concentration=5.0, seed=seed)


def moved(law: Floats, to: Flags, size: float) -> Floats:
    """Move as much mass into the sets ``to``, Bool[S, V], as makes a total variation of ``size``, or all there is."""
    inside, outside = law * to, law * ~to
    have, left = inside.sum(-1, keepdims=True), outside.sum(-1, keepdims=True)
    size_here = np.where(have > 0, np.minimum(size, left), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        grown = np.nan_to_num(inside / have) * (have + size_here)
        shrunk = np.nan_to_num(outside / left) * (left - size_here)
    return np.asarray(grown + shrunk)


def one(law: Floats, tokens: Longs) -> Flags:
    """The most probable token: the same direction everywhere."""
    return np.asarray(np.arange(law.shape[-1]) == law.argmax(-1, keepdims=True))


def random(law: Floats, tokens: Longs) -> Flags:
    """Another token after every prefix."""
    prefix = (tokens + 1) @ 4 ** np.arange(tokens.shape[1], dtype=np.int64)
    return np.asarray(np.arange(law.shape[-1]) == (prefix * 7919 // 5 % law.shape[-1])[:, None])


def rare(law: Floats, tokens: Longs) -> Flags:
    """The most probable token, but only after a token 2; elsewhere nothing is moved."""
    after = tokens[:, -1] == 2 if tokens.shape[1] else np.zeros(len(tokens), dtype=bool)
    return np.asarray(one(law, tokens) | ~after[:, None])


KINDS = {"one direction": one, "random directions": random, "rare contexts": rare}


def off_by(size: float, kind: str) -> Callable[[Any, int, int], Longs]:
    """Ancestral sampling from laws that are off by ``size``."""

    def draw(model: Any, num_sequences: int, seed: int) -> Longs:
        rng, tokens = np.random.default_rng(seed), np.zeros((num_sequences, model.num_tokens), dtype=np.int64)
        for j in range(model.num_tokens):
            law = model.next_token_probs(torch.from_numpy(tokens[:, :j]))[:, -1].double().numpy()
            law = moved(law, KINDS[kind](law, tokens[:, :j]), size)
            edges = law.cumsum(-1)
            tokens[:, j] = (edges <= rng.random((num_sequences, 1)) * edges[:, -1:]).sum(-1)
        return tokens

    return draw


def within(kind: str, size: float, audits: int) -> dict[str, Any]:
    """Many audits of decoders at the edge of the ball."""
    verdicts = [
        audit(
            off_by(size, kind),
            small_model(seed),
            ALPHAS[-1],
            WITHIN_SEQUENCES,
            seed=seed,
            epsilon=size,
            resolution=0.99,
            progress=False,
        )
        for seed in range(audits)
    ]
    largest = np.array([verdict.record["largest_log_e_value"] for verdict in verdicts])
    return {
        "kind": kind,
        "size": size,
        "audits": audits,
        "crossed": {f"{alpha:g}": int((largest >= math.log(1 / alpha)).sum()) for alpha in ALPHAS},
        "largest": float(largest.max()),
        "size_above_truth": sum((verdict.epsilon_refuted or 0) > size for verdict in verdicts),
    }


def twice(kind: str, size: float) -> dict[str, Any]:
    """Sequences at epsilon = size / 2, and at epsilon = 0, there and along one direction."""

    def mean(of: str, epsilon: float) -> tuple[float, float]:
        verdicts = [
            audit(off_by(size, of), small_model(seed), 1e-6, LIMIT, seed=seed, epsilon=epsilon, progress=False)
            for seed in range(REPEATS)
        ]
        counts = [verdict.num_sequences for verdict in verdicts]
        return float(np.mean(counts)), float(np.mean([verdict.outcome is Outcome.REFUTED for verdict in verdicts]))

    (exact, _), (alike, _), (robust, refuted) = mean("one direction", 0.0), mean(kind, 0.0), mean(kind, size / 2)
    return {
        "kind": kind,
        "size": size,
        "exact": exact,
        "exact_of_kind": alike,
        "robust": robust,
        "refuted": refuted,
        "ratio": robust / exact,
        "ratio_of_kind": robust / alike,
    }


class InBfloat16(LikeModel):
    """A model whose laws are rounded to bf16."""

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Rounded laws; see :class:`reference.models.base.TargetModel`."""
        return self.model.next_token_probs(tokens).to(torch.bfloat16)


def in_bfloat16(model: TargetModel) -> TargetModel:
    """The model with rounded laws; with guidance, of both branches, which a fault may tell apart."""
    if isinstance(model, GuidedModel):
        return GuidedModel(InBfloat16(model.conditional), InBfloat16(model.unconditional), model.scale)
    return InBfloat16(model)


def of_fault(name: str) -> dict[str, Any]:
    """A fault recorded with laws in bf16, against the exact model."""
    fault = get_fault(name)

    def traced(model: Any, num_sequences: int, seed: int) -> Any:
        return fault.decode(in_bfloat16(model), fault.window, num_sequences, seed, "laws").trace

    verdict = audit(
        traced, fault.model(), 1e-6, FAULT_LIMIT, epsilon=EPSILON, rule="mrs", resolution=0.99, progress=False
    )
    return {
        "fault": name,
        "condition": fault.condition.value,
        "total_variation": exact_laws()[name]["total_variation"],
        "outcome": verdict.outcome.name,
        "sequences": verdict.num_sequences,
        "named": verdict.condition.value if verdict.condition else "",
        "cause": verdict.diagnosis.cause if verdict.diagnosis else "",
    }


def main() -> None:
    """Ask the three questions, print and store."""
    args = command_line(__doc__, audits=(167, "for each kind and size; 12 of these are asked")).parse_args()
    torch.set_num_threads(1)
    at_edge = Rows("epsilon_within", ("kind", "size"), fresh=args.fresh)
    beyond = Rows("epsilon_twice", ("kind", "size"), fresh=args.fresh)
    planted = Rows("epsilon_faults", ("fault",), fresh=args.fresh)
    for name in exact_laws():
        if not planted.has(name):
            planted.add(of_fault(name))
    for kind in KINDS:
        for size in LARGE:
            if not beyond.has(kind, size):
                beyond.add(twice(kind, size))
        for size in SIZES:
            if not at_edge.has(kind, size):
                at_edge.add(within(kind, size, args.audits))
    save(
        "epsilon",
        QUESTION,
        {
            "within_sequences": WITHIN_SEQUENCES,
            "repeats": REPEATS,
            "limit": LIMIT,
            "fault_epsilon": EPSILON,
            "fault_limit": FAULT_LIMIT,
            "within": at_edge.rows,
            "twice": beyond.rows,
            "rows": planted.rows,
        },
    )


if __name__ == "__main__":
    run_main(main)
