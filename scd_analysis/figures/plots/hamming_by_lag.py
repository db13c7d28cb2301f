"""How far drafts are from what they were one, two, three and more passes ago."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Figure, Panels, Run, Settings
from scd_analysis.figures.marks import lines
from scd_analysis.figures.style import panels
from scd_analysis.figures.words import by_method, listed, methods, source
from scd_analysis.trace import trajectories

LAGS = (1, 2, 3, 4, 6, 8)


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a method and lag: mean Hamming distance (``value``) with its 95% interval over ``n`` sequences."""
    rows = []
    for run in runs:
        for lag in LAGS:
            distance = trajectories.hamming_distance(run.trace, lag)
            if not np.isnan(distance).all():  # a short window or a fast decoder may have no such pair
                estimate = trajectories.mean_interval(distance)
                rows.append((run.label, lag, estimate.value, estimate.low, estimate.high, estimate.n))
    if runs and not rows:
        raise InputError("no position was in the window at two passes")
    return pd.DataFrame(rows, columns=["method", "lag", "value", "low", "high", "n"])


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel."""
    return panels([["main"]], (4.6, 3.4))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """A line a method, a little apart."""
    ax = axes["main"]
    lines(ax, frame, "lag")
    last = max(frame["lag"].max(), 2)
    ax.set_xticks([lag for lag in LAGS if lag <= last])
    ax.set(
        xlim=(0.7, last + 0.3),
        ylim=(0, 1.02),
        xlabel="lag (passes)",
        ylabel="Hamming distance (share of drafts that differ)",
    )
    ax.legend(loc="lower right", ncols=2)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Distances by method."""
    values = {
        method: " ".join(f"{value:.3f}" for value in frame.loc[frame["method"] == method, "value"])
        for method in methods(frame)
    }
    lags = listed(str(lag) for lag in sorted(frame["lag"].unique()))
    return (
        f"Hamming distance between the drafts of a window {lags} passes apart, over positions in the window at both, "
        f"with 95% intervals over sequences. In order of lag: {by_method(values)}. {source(settings)}"
    )


SUMMARY = "Hamming distance of drafts one, two, three and more passes apart"

FIGURE = Figure(compute, layout, draw, caption, variables=("draft_token",))
