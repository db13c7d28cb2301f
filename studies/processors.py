"""The sweep of one logit processor on ``photos``, which the studies of temperature, top-k and top-p share.

A processor belongs to the target law, so that every setting is another law, sampled without loss; its mean entropy is
stored beside the passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from reference import load_model
from reference.models.base import TargetModel
from scd_analysis.trace.trajectories import mean_interval
from studies.passes import passes_and_entropy, speedup_row, with_ends
from studies.store import Rows, command_line, save

METHODS = ("sjd", "scd-mc", "scd-gs")
WINDOW = 32


@dataclass(frozen=True)
class Sweep:
    """What is varied.

    Attributes
    ----------
    name : str
        Of the study, and of the processor as :func:`reference.load_model` spells it.
    column : str
        Of the setting in a row.
    question : str
        That the study answers.
    settings : tuple of float
        In the order of the rows.
    """

    name: str
    column: str
    question: str
    settings: tuple[float, ...]

    def model(self, setting: float) -> TargetModel:
        """``photos`` under one setting."""
        options: dict[str, Any] = {self.name: setting}
        return load_model("photos", **options)


def measure(model: TargetModel, method: str, window: int, num_sequences: int, seed: int) -> dict[str, Any]:
    """Passes, speed-up and entropy of one method under one setting, with 95% intervals over sequences."""
    nfe, values = passes_and_entropy(model, method, window, num_sequences, seed)
    entropy = mean_interval(values)
    return speedup_row(nfe, model.num_tokens) | with_ends("entropy", entropy.value, entropy.low, entropy.high)


def run(sweep: Sweep, description: str | None) -> None:
    """The command line of a sweep: measure every setting, print and store."""
    args = command_line(description, num_sequences=24, seed=0).parse_args()
    torch.set_num_threads(1)
    rows = Rows(sweep.name, ("method", sweep.column), fresh=args.fresh)
    for setting in sweep.settings:
        model = sweep.model(setting)
        for method in METHODS:
            if not rows.has(method, setting):
                found = measure(model, method, WINDOW, args.num_sequences, args.seed)
                rows.add({"method": method, sweep.column: setting, **found})
    card = load_model("photos").card  # type: ignore[attr-defined]
    content = {
        "model": "photos",
        "bits_per_token_held_out": card["bits_per_token_null_class"],
        "window": WINDOW,
        "num_sequences": args.num_sequences,
        "seed": args.seed,
        "rows": rows.rows,
    }
    save(sweep.name, sweep.question, content)
