"""Collision probability against total variation: where the three bounds lie, and where redrafts fall between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Figure, Panels, Run, Settings
from scd_analysis.figures.marks import curves, points
from scd_analysis.figures.redrafts import Redrafts, rate, redrafts
from scd_analysis.figures.style import INK, Look, look, panels, put_letters
from scd_analysis.figures.words import methods, source
from scd_analysis.laws import COUPLINGS

POINTS = 600
"""Redrafts shown of each method; they are evenly spaced, and the rest look the same."""

EDGES = np.linspace(0, 1, 11)
COLUMNS = ("method", "coupling", "kind", "total_variation", "value", "low", "high", "bound", "n")
MEASURED = "kept"
COUPLED = {"independent": ("sjd", "o"), "maximal": ("scd-mc", "s"), "gumbel": ("scd-gs", "^")}
"""By coupling: a method that has it, in whose colour it is drawn where nobody knows the trace's, and its marker."""

SPOKEN = {"independent": "independent", "maximal": "maximal", "gumbel": "Gumbel"}


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Rows of two kinds.

    ``redraft``: the collision probability (``value``) of one redraft under ``coupling``, and for independent drafts its
    upper ``bound``. ``kept``: share of redrafts that kept their token in a bin of total variation, with 95% interval.
    """
    rows: list[tuple[object, ...]] = []
    for run in runs:
        every = redrafts(run)
        for coupling in COUPLINGS if run.coupling is None else (run.coupling,):
            rows += [(run.label, coupling, *row) for row in _points(every, coupling)]
        rows += [(run.label, run.coupling or "", *row) for row in _kept(every)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _points(every: Redrafts, coupling: str) -> list[tuple[object, ...]]:
    chosen = np.unique(np.linspace(0, len(every.kept) - 1, min(POINTS, len(every.kept))).astype(int))
    bound = every.bound if coupling == "independent" else np.full_like(every.bound, np.nan)
    columns = (every.total_variation, every.predicted[coupling], bound)
    return [("redraft", *(float(c[i]) for c in columns[:2]), None, None, float(bound[i]), 1) for i in chosen]


def _kept(every: Redrafts) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    which = np.digitize(every.total_variation, EDGES[1:-1])
    for index in range(len(EDGES) - 1):
        inside = which == index
        if inside.sum() >= 20:
            found = rate(every.kept[inside], every.sequence[inside])
            at = float(every.total_variation[inside].mean())
            rows.append((MEASURED, at, found.value, found.low, found.high, None, found.n))
    return rows


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """A panel a method."""
    names = methods(frame)
    return panels([names], (7.2 if len(names) > 1 else 4.2, 3.3), sharey=True)


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Redrafts, measured shares, bounds."""
    names = methods(frame)
    for method in names:
        rows, ax = frame[frame["method"] == method], axes[method]
        _bounds(ax)
        _redrafts(rows, method, ax, several=rows["coupling"].replace("", np.nan).nunique() > 1)
        if (rows["kind"] == MEASURED).any():
            _measured(rows[rows["kind"] == MEASURED], ax)
        ax.set(xlabel="total variation of successive laws", xlim=(0, 1), ylim=(0, 1.02))
        ax.set_title(look(method).drawn)
        ax.legend(loc="upper right", fontsize=6.5, handlelength=1.8, borderpad=0.3, labelspacing=0.3)
    axes[names[0]].set_ylabel("collision probability")
    put_letters([axes[name] for name in names])


def _bounds(ax: Axes) -> None:
    variation = np.linspace(0, 1, 101)
    ax.plot(variation, 1 - variation, color="black", linewidth=1.1, label=r"$1-\mathrm{TV}$", zorder=4)
    lower = (1 - variation) / (1 + variation)
    ax.plot(
        variation,
        lower,
        color="black",
        linewidth=1.1,
        linestyle="--",
        label=r"$(1-\mathrm{TV})/(1+\mathrm{TV})$",
        zorder=4,
    )


def _redrafts(rows: pd.DataFrame, method: str, ax: Axes, *, several: bool) -> None:
    some = rows[rows["kind"] == "redraft"]
    looks = {
        coupling: replace(look(known if several else method), label=f"a redraft, {SPOKEN[coupling]}", marker=marker)
        for coupling, (known, marker) in COUPLED.items()
        if (some["coupling"] == coupling).any()
    }
    points(ax, some, "total_variation", "value", looks, "coupling", s=7, alpha=0.6, linewidth=0, rasterized=True,
           zorder=3)  # fmt: skip
    if some["bound"].notna().any():
        seaborn.scatterplot(some, x="total_variation", y="bound", s=9, marker="_", color="#777777", linewidth=0.7,
                            rasterized=True, zorder=2, label=r"its bound $e^{-(H_2+H_2^\prime)/2}$", ax=ax)  # fmt: skip


def _measured(rows: pd.DataFrame, ax: Axes) -> None:
    looks = {MEASURED: Look("measured, 95%", INK, "D", (0, (0, 1)))}
    white = {"markerfacecolor": "white", "markersize": 4.5, "linestyle": "", "zorder": 5}
    curves(ax, rows, "total_variation", looks, "kind", err_style="bars", **white)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Bounds, and whether any redraft shown breaks its own."""
    points = frame[frame["kind"] == "redraft"]
    upper, slack = 1 - points["total_variation"], 1e-4
    lower = upper / (1 + points["total_variation"])
    gumbel = points["coupling"] == "gumbel"
    broken = int((points["value"] > upper + slack).sum() + (points["value"] < lower - slack)[gumbel].sum())
    broken += int((points["value"] > points["bound"] + slack).sum())
    own = points["bound"].notna().any()
    third = "; and, for independent drafts, the upper bound exp(-(H2 + H2')/2) of each redraft" if own else ""
    return (
        f"Collision probability of {len(points)} redrafts against the total variation (TV) of their two laws, and the "
        "share that really kept their token in bins of TV (95% intervals over sequences). Drawn: the upper bound "
        "1 - TV of every coupling, attained by the maximal one; the lower bound (1 - TV)/(1 + TV) of shared Gumbel "
        f"noise{third}. Of the redrafts shown, {broken} break a bound. {source(settings)}"
    )


SUMMARY = "collision probability against total variation, with the three bounds"

FIGURE = Figure(
    compute,
    layout,
    draw,
    caption,
    variables=("total_variation", "collision_independent", "collision_gumbel"),
)
