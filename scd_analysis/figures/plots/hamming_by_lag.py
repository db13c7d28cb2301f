"""How far drafts are from what they were one, two and three passes ago."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis import trajectories
from scd_analysis.errors import InputError
from scd_analysis.figures.base import STUDIED, Figure, Panels, Run, RunSpec, Scale, Settings, main_runs
from scd_analysis.figures.style import look, panels
from scd_analysis.figures.words import by_method, methods, source

LAGS = (1, 2, 3)


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
    ax, names = axes["main"], methods(frame)
    for number, method in enumerate(names):
        rows, style = frame[frame["method"] == method], look(method)
        low, high = rows["low"].fillna(rows["value"]), rows["high"].fillna(rows["value"])
        ax.errorbar(
            rows["lag"] + 0.05 * (number - (len(names) - 1) / 2),
            rows["value"],
            yerr=np.array([rows["value"] - low, high - rows["value"]]),
            color=style.color,
            marker=style.marker,
            linestyle=style.linestyle,
            markeredgecolor="black",
            markeredgewidth=0.5,
            capsize=3,
            elinewidth=1,
            label=style.label,
        )
    ax.set_xticks(LAGS)
    ax.set(
        xlim=(0.7, 3.3), ylim=(0, 1.02), xlabel="lag (passes)", ylabel="Hamming distance (share of drafts that differ)"
    )
    ax.legend(loc="lower right", ncols=2)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Distances by method."""
    values = {
        method: " ".join(f"{value:.3f}" for value in frame.loc[frame["method"] == method, "value"])
        for method in methods(frame)
    }
    return (
        "Hamming distance between the drafts of a window one, two and three passes apart, over positions in the "
        f"window at both, with 95% intervals over sequences. In order of lag: {by_method(values)}. {source(settings)}"
    )


def needs(scale: Scale) -> list[RunSpec]:
    """The main window."""
    return main_runs(scale, (*STUDIED, "sjd-vp"))


FIGURE = Figure(
    "Hamming distance of drafts one, two and three passes apart",
    compute,
    layout,
    draw,
    caption,
    needs,
    variables=("draft_token",),
    any_trace=True,
)
