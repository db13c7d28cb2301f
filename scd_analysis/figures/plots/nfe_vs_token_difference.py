"""Passes against how many drafts change in a pass: fewer changes, fewer passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Figure, Panels, Run, Settings
from scd_analysis.figures.marks import points
from scd_analysis.figures.style import INK, panels
from scd_analysis.figures.words import by_method, source
from scd_analysis.trace import trajectories


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a sequence: ``method``, ``sequence``, ``nfe`` (passes), ``difference`` (share of surviving drafts)."""
    parts = []
    for run in runs:
        nfe, difference = run.trace["nfe"].values.astype(float), trajectories.hamming_distance(run.trace)
        part = pd.DataFrame(
            {"method": run.label, "sequence": np.arange(len(nfe)), "nfe": nfe, "difference": difference}
        )
        parts.append(part.dropna())
    frame = pd.concat(parts, ignore_index=True)
    if frame.empty:
        raise InputError("no complete sequence has a draft that waited for a pass")
    return frame


def line(frame: pd.DataFrame) -> tuple[float, float, float]:
    """Least squares over all points: intercept, slope and correlation; NaN where there is no line."""
    x, y = frame["difference"].to_numpy(), frame["nfe"].to_numpy()
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan"), float("nan"), float("nan")
    slope, intercept = np.polyfit(x, y, 1)
    return float(intercept), float(slope), float(np.corrcoef(x, y)[0, 1])


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel."""
    return panels([["main"]], (5.2, 3.9))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Points, their means, and the line through all."""
    ax = axes["main"]
    points(ax, frame, "difference", "nfe", s=20, alpha=0.55, linewidth=0, legend=False, zorder=3)
    means = frame.groupby("method", sort=False)[["difference", "nfe"]].mean().reset_index()
    points(ax, means, "difference", "nfe", s=95, edgecolor="black", zorder=4)
    correlation = line(frame)[2]
    if np.isfinite(correlation):
        seaborn.regplot(frame, x="difference", y="nfe", scatter=False, ci=None, color=INK, ax=ax,
                        line_kws={"linestyle": "--", "linewidth": 1, "zorder": 2},
                        label=f"least squares, r = {correlation:.2f}")  # fmt: skip
    ax.set_xlabel("mean token difference (share of drafts that change in a pass)")
    ax.set_ylabel("NFE (forward passes a sequence)")
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper left")


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Means by method, and the correlation."""
    groups = frame.groupby("method", sort=False)[["nfe", "difference"]].mean()
    means = by_method({str(m): f"{row.nfe:.1f} passes at {row.difference:.2f}" for m, row in groups.iterrows()})
    correlation = line(frame)[2]
    relation = f" Over all points the correlation is {correlation:.2f}." if np.isfinite(correlation) else ""
    return (
        "Forward passes (NFE) against mean token difference, the share of surviving drafts that change in a pass; a "
        f"point is a sequence, large markers are means: {means}.{relation} {source(settings)}"
    )


SUMMARY = "NFE against mean token difference, a point a sequence"

FIGURE = Figure(compute, layout, draw, caption, variables=("nfe", "draft_token"))
