"""What does the audit say of every rule? Lossless methods, rivals and planted faults, one row each.

Run ``python -m studies.verdict_table``; the result is written to ``studies/results/verdict_table.json``. Exact total
variation on small models comes from the exact laws; on ``digits`` the verdict is that of a trace, and the distance is
that of the tokens' marginals by position, in excess of what two samples of a right decoder differ by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reference import METHODS, Method, TabularModel, coupling_mixture, decode, get_method, load_model
from reference.broken import Fault, faults
from reference.models.base import TargetModel
from reference.plain import plain_decoder
from scd_analysis import audit, exact_law
from scd_analysis.exact import exact_target_law
from scd_analysis.exact.loop import as_loop
from scd_analysis.laws.kernels import total_variation
from scd_analysis.subjects import recorded
from studies.exact_laws import laws
from studies.store import Rows, command_line, run_main, save

QUESTION = "verdict, broken condition, distance and speed of every rule"
WINDOW = 16
NARROW = {"bonus-from-last-row": 2}
"""Where a window of 16 is never accepted whole, so that the fault would not show."""

LOSSLESS = (
    *(method for method in map(get_method, METHODS) if method.lossless and not method.greedy),
    coupling_mixture("scd-mc", 0.5),
    coupling_mixture("scd-gs", 0.5),
)


@dataclass(frozen=True)
class Rule:
    """A row to be: a method that claims to be lossless, or a fault."""

    name: str
    method: Method | None
    fault: Fault | None

    @property
    def expected(self) -> str:
        """What an audit must say."""
        return "NOT_REFUTED" if self.fault is None else f"REFUTED: {self.fault.condition.value}"

    def run(self, model: TargetModel, num_sequences: int, seed: int, record: str | None) -> Any:
        """Decode with a window of 16, or a narrower one."""
        if self.fault is not None:
            return self.fault.decode(model, NARROW.get(self.name, WINDOW), num_sequences, seed, record)
        assert self.method is not None
        return decode(model, self.method, WINDOW, num_sequences, seed, record, progress=False)


def rules() -> list[Rule]:
    """Lossless methods first, then rivals, then slips."""
    planted = sorted(faults().values(), key=lambda fault: not fault.rival)
    return [Rule(m.name, m, None) for m in LOSSLESS] + [Rule(f.name, None, f) for f in planted]


def model_of(rule: Rule) -> TargetModel:
    """``digits``; with guidance or with tokens of probability zero where the fault is about these."""
    if rule.name == "guidance-dropped":
        return load_model("digits", "3", guidance=2.0)
    return load_model("digits", top_k=6) if rule.name == "zero-accepted" else load_model("digits")


def exact_distance(rule: Rule) -> float:
    """Total variation between the exact law and the target's on a small model."""
    if rule.fault is not None:
        return float(laws()[rule.name]["total_variation"])
    assert rule.method is not None
    model = TabularModel.random(vocab_size=3, num_tokens=3, concentration=0.7, seed=0)
    law = exact_law(as_loop(plain_decoder(model, rule.method, 3)), intercept=False)
    return float(law.total_variation(exact_target_law(model)))


def marginal_distance(first: np.ndarray, second: np.ndarray, vocab_size: int) -> float:
    """Mean over positions of the total variation between empirical token laws."""
    out = []
    for j in range(first.shape[1]):
        a, b = (np.bincount(x[:, j], minlength=vocab_size) / len(x) for x in (first, second))
        out.append(total_variation(a, b))
    return float(np.mean(out))


def excess(mine: np.ndarray, right: np.ndarray, vocab_size: int, seed: int) -> tuple[float, float, float]:
    """Distance of a decoder's sample to a right one's, less that of two right ones, with a 95% bootstrap interval."""
    rng, half = np.random.default_rng(seed), len(right) // 2
    values = []
    for i in range(101):
        pick = [rng.integers(len(mine), size=half), *(rng.integers(half, size=half) for _ in range(2))]
        if i == 0:
            pick = [np.arange(half)] * 3
        a, b, c = mine[pick[0]], right[pick[1]], right[half + pick[2]]
        values.append(marginal_distance(a, b, vocab_size) - marginal_distance(c, b, vocab_size))
    spread = 1.96 * float(np.std(values[1:]))
    return values[0], values[0] - spread, values[0] + spread


def measure(rule: Rule, count: int, traces: int, right: dict[str, np.ndarray]) -> dict[str, Any]:
    """One row."""
    model = model_of(rule)
    key = rule.name if rule.name in ("guidance-dropped", "zero-accepted") else "plain"
    if key not in right:
        right[key] = decode(model, "sjd", WINDOW, 2 * count, seed=99, record=None, progress=False).tokens.numpy()
    out = rule.run(model, count, 0, None)
    samples = audit(recorded(out.tokens), model, progress=False)
    traced = audit(rule.run(model, traces, 1, "laws").trace, model, progress=False)
    distance, low, high = excess(out.tokens.numpy(), right[key], model.vocab_size, seed=5)
    return {
        "rule": rule.name,
        "kind": "method" if rule.fault is None else "rival" if rule.fault.rival else "fault",
        "claim": "lossless" if rule.fault is None else rule.fault.summary,
        "expected": rule.expected,
        "exact_total_variation": exact_distance(rule),
        "samples_outcome": samples.outcome.name,
        "samples_sequences": samples.num_sequences,
        "trace_outcome": traced.outcome.name,
        "trace_sequences": traced.num_sequences,
        "trace_condition": "" if traced.condition is None else traced.condition.value,
        "digits_distance": distance,
        "digits_low": low,
        "digits_high": high,
        "speedup": model.num_tokens / float(out.nfe.double().mean()),
    }


def main() -> None:
    """Measure every rule, print and store."""
    args = command_line(__doc__, sequences=512, traces=256).parse_args()
    torch.set_num_threads(1)
    rows = Rows("verdict_table", ("rule",), fresh=args.fresh)
    right: dict[str, np.ndarray] = {}
    for rule in rules():
        if not rows.has(rule.name):
            rows.add(measure(rule, args.sequences, args.traces, right))
    known = {row["rule"]: row for row in rows.rows}
    content = {
        "model": "digits",
        "bits_per_token_held_out": load_model("digits").card["bits_per_token_null_class"],  # type: ignore[attr-defined]
        "window": WINDOW,
        "sequences": args.sequences,
        "traces": args.traces,
        "alpha": 1e-6,
        "rows": [known[rule.name] for rule in rules()],
    }
    save("verdict_table", QUESTION, content)


if __name__ == "__main__":
    run_main(main)
