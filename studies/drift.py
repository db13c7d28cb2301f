"""How far do laws drift in fewer bits? Shipped models and real architectures in bf16 and fp16, ancestral, SJD and SCD.

Run ``python -m studies.drift``; the result is written to ``studies/results/drift.json``. The weights and activations of
a model are rounded to a precision, and a decode holds the laws that come out, and its variates, in float32. At every
position of a finished sequence the law that was used is compared with the model's own in float64, given the sequence:
their total variation is the drift. Ancestral decoding, one position a pass, is the control: what it drifts is not
speculation's. Everything is on the CPU: kernels of a GPU depend more on the batch. Traces of every lossless method are
audited at the control's epsilon, its largest drift, and one of a stale cache. What a precision costs or gains in time
here is measured in turns with float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference import decode
from reference.broken import get_fault
from reference.models.hf import load_hf
from reference.models.image import load_image_model
from scd_analysis import audit
from scd_analysis.audit.drift import EDGES, mean_between
from studies import tiny_networks
from studies.store import Rows, command_line, run_main, save
from studies.timing import in_turns

QUESTION = "how far are the laws that a decoder uses in fewer bits from the model's?"
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SEQUENCES = {"digits": 96, "photos": 6, "video": 3, "llama": 16, "janus": 32}
"""Of the shipped models, and of a Llama and a Janus with random weights."""

METHODS = ("sjd", "scd-mc", "scd-gs")
SETTINGS = [(16, None), (4, None), (32, None), (16, 1)]
"""Window, and sequences a batch: all of them, or one."""

LOSSLESS = (*METHODS, "sjd-pac", "sjd-vp")
STALE = get_fault("stale-cache")
ANY_SIZE = 0.9
"""Epsilon of the audits, which no drift comes near: their measure of it is wanted, and no verdict."""

QUANTILES = (0.5, 0.9, 0.99)


def in_precision(name: str, dtype: torch.dtype) -> Any:
    """A model with weights and activations in a precision."""
    if name == "llama":
        return load_hf(tiny_networks.wide_llama().to(dtype), [0, 7, 5], num_tokens=48)
    if name == "janus":
        return load_hf(tiny_networks.janus().to(dtype), [0, 5, 6])
    model = copy.deepcopy(load_image_model(name))
    model.net.to(dtype)
    return model


def of_drafts(model: Any, exact: Any, method: str, window: int, count: int, batch: int | None) -> dict[str, Any]:
    """Drift of a speculative decode, as an audit of its trace measures it."""
    out = decode(model, method, window, count, seed=0, record="laws", batch_size=batch, progress=False)
    verdict = audit(out.trace, exact, epsilon=ANY_SIZE, max_sequences=count, resolution=0.99, progress=False)
    drift = verdict.drift
    assert drift is not None
    quantiles = {f"q{share:g}": value for share, value in drift.quantiles}
    return {"mean": drift.mean, "low": drift.low, "high": drift.high, "count": drift.count} | {
        **quantiles,
        "largest": drift.largest,
        "passes": float(out.nfe.double().mean()),
    }


def of_ancestral(model: Any, exact: Any, count: int) -> dict[str, Any]:
    """The same of one position a pass, from the cache."""
    device = torch.device("cpu")
    tokens = decode(model, "ar", 1, count, seed=0, progress=False).tokens
    session = model.open_session(count, device)
    used = [session.laws(tokens, torch.full((count, 1), j), j)[:, 0].float() for j in range(model.num_tokens)]
    apart = total_variation(torch.stack(used, 1), exact.next_token_probs(tokens[:, :-1]))
    values = apart.flatten().numpy()
    found = {f"q{share:g}": float(np.quantile(values, share)) for share in QUANTILES}
    low, high = mean_between(np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES)))
    mean = {"mean": float(values.mean()), "low": low, "high": high}
    return mean | {"count": len(values), **found, "largest": float(values.max())} | {"passes": float(model.num_tokens)}


def at_control(model: Any, exact: Any, method: str, count: int, epsilon: float) -> dict[str, Any]:
    """The verdict on a trace at the control's epsilon; of a method, or of the fault."""
    window = SETTINGS[0][0]
    if method == STALE.name:
        out = STALE.decode(model, window, count, seed=1, record="laws")
    else:
        out = decode(model, method, window, count, seed=1, record="laws", progress=False)
    verdict = audit(out.trace, exact, epsilon=epsilon, max_sequences=count, resolution=0.99, progress=False)
    return {
        "epsilon": epsilon,
        "outcome": verdict.outcome.name,
        "log_e_value": min(verdict.log_e_value, 1e6),
        "sequences": verdict.num_sequences,
        "named": verdict.condition.value if verdict.condition else "",
        "cause": verdict.diagnosis.cause if verdict.diagnosis else "",
    }


def times(models: dict[str, Any], count: int) -> dict[str, float]:
    """Seconds a pass of a coupled decode in each precision, over those in float32: medians, taken in turns."""

    def run(model: Any) -> Callable[[], float]:
        return lambda: float(decode(model, "scd-mc", SETTINGS[0][0], count, 0, None, progress=False).nfe.max())

    runs = {precision: run(model) for precision, model in models.items()}
    passes = {precision: one() for precision, one in runs.items()}
    taken = in_turns(runs, 3, cached=False, budget_s=60.0)
    a_pass = {precision: float(np.median(taken[precision])) / passes[precision] for precision in models}
    return {precision: value / a_pass["float32"] for precision, value in a_pass.items()}


def total_variation(first: Tensor, second: Tensor) -> Tensor:
    """Of laws over the last dimension, each divided by its sum, in float64."""
    first, second = (laws.double() / laws.double().sum(-1, keepdim=True) for laws in (first, second))
    return 0.5 * (first - second).abs().sum(-1)


def main() -> None:
    """Measure every precision, model and method, print and store."""
    args = command_line(__doc__).parse_args()
    torch.set_num_threads(1)
    rows = Rows("drift", ("model", "precision", "method", "window", "batch"), fresh=args.fresh)
    judged = Rows("drift_audits", ("model", "precision", "method"), fresh=args.fresh)
    timed = Rows("drift_seconds", ("model",), fresh=args.fresh)
    for name, count in SEQUENCES.items():
        exact, models = in_precision(name, torch.float64), {}
        for precision, dtype in PRECISIONS.items():
            model = models[precision] = in_precision(name, dtype)
            key = {"model": name, "precision": precision, "method": "ar", "window": 0, "batch": 0}
            if not rows.has(*key.values()):
                rows.add(key | of_ancestral(model, exact, count))
            control = max(row["largest"] for row in rows.rows if all(row[column] == key[column] for column in key))
            for method in (*LOSSLESS, *([STALE.name] if name == "digits" else [])) if precision != "float32" else ():
                if not judged.has(name, precision, method):
                    own = {"model": name, "precision": precision, "method": method}
                    judged.add(own | at_control(model, exact, method, count, control))
            for method in METHODS:
                for window, batch in SETTINGS if name == "digits" else SETTINGS[:1]:
                    key |= {"method": method, "window": window, "batch": batch or count}
                    if not rows.has(*key.values()):
                        rows.add(key | of_drafts(model, exact, method, window, count, batch))
        if not timed.has(name):
            timed.add({"model": name} | times(models, count))
    parts = {"seconds": timed.rows, "audits": judged.rows, "rows": rows.rows}
    save("drift", QUESTION, {"sequences": SEQUENCES, "seed": 0, **parts})


if __name__ == "__main__":
    run_main(main)
