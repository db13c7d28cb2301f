"""What top-k sampling does to the speed-up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scd_analysis.figures import sweeps
from scd_analysis.figures.base import Figure, Panels, Settings, no_runs
from scd_analysis.figures.words import of_study


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """Two rows a method and k: speed-up, and entropy of the law."""
    return sweeps.long_rows(result, "k")


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Speed-up and entropy by k."""
    sweeps.draw(frame, axes, "k of top-k (tokens kept)", log=True)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Ends of every line."""
    said, law = sweeps.ends(frame)
    each = f"{settings['num_sequences']} sequences a point"
    return (
        f"(a) Speed-up in passes by the k of top-k sampling, with 95% intervals over sequences: {said}. k = 1 is "
        "greedy decoding, and the largest k keeps the whole vocabulary. Top-k belongs to the target law, so "
        f"every k is another law, sampled without loss; (b) its entropy: {law}. {of_study(settings, each)}"
    )


FIGURE = Figure(
    "speed-up by the k of top-k sampling",
    compute,
    sweeps.layout,
    draw,
    caption,
    no_runs,
    result="top_k",
    paper="The papers' own numbers by k we have not on file.",
)
