"""What laws in fewer bytes cost: their error, the size of a trace, the time of a decode.

Run ``python -m studies.recorded_laws``; the result is written to ``studies/results/recorded_laws.json``. Rows of kind
``form`` come from the same decodes of ``photos``, recorded in every form in turn: bytes a token on disk and before
compression, the error that the trace states, and how much longer the decode takes than one that records nothing, round
by round. Rows of kind ``rounding`` compare ways of writing a law in half precision, on the target laws of one of these
traces: total variation from the exact law, once normalised, and the share of possible tokens that become impossible.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import zarr

from reference import decode, load_model
from reference.models.base import TargetModel
from scd_analysis.laws.kernels import total_variation
from scd_analysis.trace import open_trace, read_laws
from scd_analysis.trace.schema import COMPACT, HALF_SCALE, LAWS
from studies.passes import with_ends
from studies.store import Rows, command_line, run_main, save

QUESTION = "error, size and time of laws stored whole, in half precision, and cut to their most probable tokens"
FORMS = ("scalars", "laws", "laws-float16", "laws-top-64", "laws-top-16")
METHOD, WINDOW = "scd-mc", 32

Floats = npt.NDArray[Any]


def _half(values: Floats) -> Floats:
    return np.asarray(values.astype(np.float16).astype(np.float64))


ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "probabilities": _half,
    "probabilities in units of 2^-15": lambda p: _half(p / HALF_SCALE),
    "the same, nothing possible at zero": lambda p: np.where(p > 0, np.maximum(_half(p / HALF_SCALE), 2.0**-24), 0),
    "square roots": lambda p: _half(np.sqrt(p)) ** 2,
    "logarithms": lambda p: np.exp(_half(np.log(p, where=p > 0, out=np.full_like(p, -np.inf)))),
}


def size(path: Path, num_tokens: int) -> dict[str, float]:
    """Bytes a token: of the whole trace on disk, and of its laws before compression."""
    on_disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    arrays = [array for name, array in zarr.open_group(str(path), mode="r").arrays() if name in (*LAWS, *COMPACT)]
    return {"bytes": on_disk / num_tokens, "bytes_of_laws_before": sum(a.nbytes for a in arrays) / num_tokens}


def once(model: TargetModel, record: str | None, num_sequences: int) -> tuple[float, dict[str, Any]]:
    """Seconds of a decode, and what it left."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.zarr" if record else None
        start = time.perf_counter()
        decode(model, METHOD, WINDOW, num_sequences, record=record, out_path=path, progress=False)
        seconds = time.perf_counter() - start
        if path is None:
            return seconds, {}
        stated = open_trace(path).attrs.get("law_error", {})
        errors = {f"{name}_{kind}": stated.get(name, {}).get(kind) for name in LAWS for kind in ("max", "mean")}
        return seconds, {**size(path, num_sequences * model.num_tokens), **errors}


def forms(model: TargetModel, num_sequences: int, rounds: int) -> list[dict[str, Any]]:
    """A row a form; the decodes take turns."""
    times: dict[str | None, list[float]] = {None: [], **{form: [] for form in FORMS}}
    left: dict[str, dict[str, Any]] = {}
    for number in range(rounds + 1):  # the first round warms up
        for record, taken in times.items():
            seconds, found = once(model, record, num_sequences)
            if record:
                left[record] = found
            if number:
                taken.append(seconds)
    rows = []
    for form in FORMS:
        more = np.array(times[form]) / np.array(times[None]) - 1
        low, middle, high = np.quantile(more, [0.25, 0.5, 0.75])
        spread = with_ends("overhead", float(middle), float(low), float(high))
        rows.append({"kind": "form", "form": form, "n": num_sequences, "rounds": rounds, **spread, **left[form]})
    return rows


def roundings(model: TargetModel, num_sequences: int, names: list[str]) -> list[dict[str, Any]]:
    """A row a way of rounding."""
    trace = decode(model, METHOD, WINDOW, num_sequences, record="laws", progress=False).trace
    assert trace is not None
    laws = read_laws(trace)
    laws = laws[~np.isnan(laws[..., 0])]
    rows = []
    for name in names:
        stored = ROUNDINGS[name](laws)
        errors = total_variation(stored / stored.sum(-1, keepdims=True), laws)
        lost = float(((stored == 0) & (laws > 0)).sum() / (laws > 0).sum())
        found = {"max": float(errors.max()), "mean": float(errors.mean()), "lost": lost}
        rows.append({"kind": "rounding", "form": name, "n": len(laws), **found})
    return rows


def main() -> None:
    """Measure, print and store."""
    args = command_line(__doc__, num_sequences=16, rounds=5).parse_args()
    kept, model = Rows("recorded_laws", ("kind", "form"), fresh=args.fresh), load_model("photos")
    missing = [name for name in ROUNDINGS if not kept.has("rounding", name)]
    for row in roundings(model, 4, missing) if missing else []:
        kept.add(row)
    if not kept.has("form", FORMS[-1]):
        for row in forms(model, args.num_sequences, args.rounds):
            kept.add(row)
    settings = {"model": "photos", "method": METHOD, "window": WINDOW, "vocab_size": model.vocab_size}
    save("recorded_laws", QUESTION, {**settings, "threads": torch.get_num_threads(), "rows": kept.rows})


if __name__ == "__main__":
    run_main(main)
