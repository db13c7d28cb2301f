"""How many fewer passes a stronger coupling needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import lines
from scd_analysis.figures.style import panels
from scd_analysis.figures.words import by_method, listed, methods, with_ends
from studies.gallery.exhibit import Exhibit
from studies.gallery.reported import STATEMENTS
from studies.gallery.results import of_study


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a method and strength: mean passes (``value``) with 95% interval, and speed-up with its own."""
    rows = [
        (r["method"], r["alpha"], r["mean_nfe"], r["mean_nfe_low"], r["mean_nfe_high"],
         r["speedup"], r["speedup_low"], r["speedup_high"], r["n"])
        for r in result["rows"]
    ]  # fmt: skip
    return pd.DataFrame(
        rows, columns=["method", "alpha", "value", "low", "high", "speedup", "speedup_low", "speedup_high", "n"]
    )


def rising(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Steps of strength at which the mean of passes did not fall, by method."""
    found: dict[str, list[str]] = {}
    for method in methods(frame):
        rows = frame[frame["method"] == method].sort_values("alpha")
        up = np.flatnonzero(np.diff(rows["value"]) >= 0)
        at = rows["alpha"].tolist()
        found[method] = [f"{at[i]:g} to {at[i + 1]:g}" for i in up]
    return found


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel."""
    return panels([["main"]], (4.8, 3.5))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """A line a coupling."""
    ax = axes["main"]
    lines(ax, frame, "alpha", dodge=0.12)
    ax.set(xlabel="coupling strength α (share of redrafts that are coupled)", ylabel="NFE (forward passes a sequence)")
    ax.set_ylim(bottom=0)
    ax.annotate("SJD", (0, 0.02), xycoords=("data", "axes fraction"), ha="center", fontsize=8)
    ax.annotate("SCD", (1, 0.02), xycoords=("data", "axes fraction"), ha="center", fontsize=8)
    ax.legend(loc="upper right")


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Both ends of every line, and whether it falls all the way."""
    parts = {}
    for method in methods(frame):
        rows = frame[frame["method"] == method].sort_values("alpha")
        first, last = (with_ends(next(rows.iloc[[i]].itertuples()), 1) for i in (0, -1))
        parts[method] = f"from {first} at {rows['alpha'].iloc[0]:g} to {last} at {rows['alpha'].iloc[-1]:g}"
    steps = [f"{by_method({m: ''}).strip()} from {listed(s)}" for m, s in rising(frame).items() if s]
    shape = f"does not fall for {listed(steps)}" if steps else "falls at every step of both"
    return (
        "Mean forward passes by coupling strength: with probability α, by a coin for each position and pass, a draft "
        f"is coupled to the last one, else fresh; 95% intervals over sequences. Passes go {by_method(parts)}; the mean "
        f"{shape}. {of_study(settings, str(settings['num_sequences']) + ' sequences a point')}"
    )


SUMMARY = "passes by coupling strength alpha"

FIGURE = Exhibit(
    compute,
    layout,
    draw,
    caption,
    result="coupling_alpha",
    paper=f"The SCD paper reports that {STATEMENTS['alpha']}.",
)
