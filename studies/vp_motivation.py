"""Does a token whose probability rose win? SJD-VP's two motivation analyses, and a sweep of its strength.

Run ``python -m studies.vp_motivation``; the result is written to ``studies/results/vp_motivation.json``. A position is
looked at over three passes of SJD. Between the first two, some tokens rise in probability. *Verified* is the output of
verification at the third pass; its law is that pass's, so its share is taken from the law, without drawing. *Correct*
is the token that the sequence ends up with. *Chance* is what the risers' share would be if the token had the law of
the first pass (it knows nothing of the rise), and *now* if it had that of the second, which is what SJD drafts from.
SJD-VP is known to us by its abstract: the questions are the paper's, the way they are answered is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from reference import Method, VerificationPrediction, decode, load_model
from reference.models.base import TargetModel
from scd_analysis.trace.trajectories import ratio_interval
from studies.passes import speedup_row
from studies.store import Rows, command_line, run_main, save

QUESTION = "how often the token whose probability rose is the verified one, and the correct one; speed-up by strength"
GAMMAS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)
WINDOW = 32
EDGES = (-4.0, -2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of ln(p_t / p_{t-1}); the outer bins are open."""

LAWS = ("chance", "now", "verified", "correct")
AT_A_TIME = 4


def triples(trace: Any, sequence: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Laws of three successive passes, Float[k, V] each, and the final tokens, of positions in the window at all."""
    base = trace["base"].values[sequence]
    probs = trace["target_probs"].values[sequence]
    tokens = trace["tokens"].values[sequence].astype(np.int64)
    passes, window, length = int((~np.isnan(base)).sum()), probs.shape[1], len(tokens)
    start = base[:passes].astype(np.int64)
    for t in range(1, passes - 1):
        where = np.arange(start[t + 1], min(start[t - 1] + window, length))
        if len(where):
            before, now, after = (probs[t + d][where - start[t + d]].astype(np.float64) for d in (-1, 0, 1))
            if not np.isnan(before).any():  # the first pass drafts nothing
                yield before, now, after, tokens[where]


def tally(trace: Any, sequence: int) -> dict[str, np.ndarray]:
    """Sums over the positions of a sequence, by law: of the risers, of the one that rose most, by size of the rise."""
    risers, most = np.zeros(len(LAWS)), np.zeros(len(LAWS))
    bins, count = np.zeros((len(LAWS), len(EDGES) + 1)), 0
    for before, now, after, token in triples(trace, sequence):
        correct = np.zeros_like(now)
        correct[np.arange(len(token)), token] = 1
        laws = (before, now, after, correct)
        top = (now - before).argmax(1)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.log(now) - np.log(before)
        which = np.digitize(np.nan_to_num(change, nan=0.0), EDGES)
        for i, law in enumerate(laws):
            risers[i] += law[now > before].sum()
            most[i] += np.take_along_axis(law, top, 1).sum()
            bins[i] += np.bincount(which.ravel(), law.ravel(), minlength=len(EDGES) + 1)
        count += len(token)
    return {"risers": risers, "most": most, "bins": bins, "count": np.array(float(count))}


def motivation(model: TargetModel, num_sequences: int, seed: int) -> list[dict[str, Any]]:
    """Shares of both analyses, and by size of the rise how much likelier than the second pass's law a token is."""
    tallies = []
    for start in range(0, num_sequences, AT_A_TIME):
        trace = decode(model, "sjd", WINDOW, AT_A_TIME, seed + start, "laws", progress=False).trace
        assert trace is not None
        tallies += [tally(trace.load(), i) for i in range(AT_A_TIME)]
    every = {name: np.stack([one[name] for one in tallies]) for name in tallies[0]}
    rows = []

    def add(kind: str, law: str, top: np.ndarray, bottom: np.ndarray, **more: Any) -> None:
        found = ratio_interval(top, bottom)
        ends = {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
        rows.append({"kind": kind, "law": law, "gamma": None, "from": None, "to": None, "mass": None, **ends, **more})

    for i, law in enumerate(LAWS):
        for kind in ("risers", "most"):
            add(kind, law, every[kind][:, i], every["count"])
    ends = (None, *EDGES, None)
    for i, law in enumerate(LAWS[2:], start=2):
        for b in range(len(EDGES) + 1):
            mass = every["bins"][:, 1, b]
            place = {"from": ends[b], "to": ends[b + 1], "mass": float(mass.sum() / every["count"].sum())}
            add("ratio", law, every["bins"][:, i, b], mass, **place)
    return rows


def main() -> None:
    """Measure, print and store."""
    args = command_line(__doc__, num_sequences=64, num_traced=24, seed=0).parse_args()
    torch.set_num_threads(1)
    rows, model = Rows("vp_motivation", ("kind", "law", "gamma"), fresh=args.fresh), load_model("photos")
    if not rows.has("risers", "chance", None):
        for row in motivation(model, args.num_traced, args.seed):
            rows.add(row)
    for gamma in GAMMAS:
        for kind, tracked in (("tracked", True), ("untracked", False)):
            if not rows.has(kind, "", gamma):
                rule = VerificationPrediction(gamma=gamma, tracked=tracked)
                method = Method(f"sjd-vp(gamma={gamma:g})", rule, lossless=tracked)
                out = decode(model, method, WINDOW, args.num_sequences, args.seed, record=None, progress=False)
                found = speedup_row(out.nfe.numpy(), model.num_tokens)
                ends = {"value": found["speedup"], "low": found["speedup_low"], "high": found["speedup_high"]}
                place = {"from": None, "to": None, "mass": None}
                rows.add({"kind": kind, "law": "", "gamma": gamma, **place, **ends, "n": found["n"]})
    content = {
        "model": "photos",
        "bits_per_token_held_out": model.card["bits_per_token_null_class"],  # type: ignore[attr-defined]
        "window": WINDOW,
        "num_sequences": args.num_sequences,
        "num_traced": args.num_traced,
        "clip": VerificationPrediction().clip,
        "seed": args.seed,
        "rows": rows.rows,
    }
    save("vp_motivation", QUESTION, content)


if __name__ == "__main__":
    run_main(main)
