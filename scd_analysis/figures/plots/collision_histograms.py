"""How likely two successive drafts of a position are the same token: predicted by the coupling, and measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Figure, Panels, Run, Settings
from scd_analysis.figures.marks import lines
from scd_analysis.figures.redrafts import Redrafts, rate, redrafts
from scd_analysis.figures.style import INK, Look, look, panels, put_letters
from scd_analysis.figures.words import listed, source
from scd_analysis.laws import COUPLINGS

SPOKEN = {"independent": "independent", "maximal": "maximal", "gumbel": "Gumbel"}
EDGES = np.linspace(0, 1, 26)
RATES = {"predicted": Look("predicted", "#999999", "D", "none"), "measured": Look("measured", INK, "o", "none")}
COLUMNS = ("method", "coupling", "kind", "low", "high", "value", "n")


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Rows of four kinds, for each method under its coupling (all three, if nobody knows it).

    ``bin``: share of redrafts (``value``) whose collision probability lies between ``low`` and ``high``. ``measured``,
    ``predicted`` and ``difference``: rates with 95% intervals over sequences.
    """
    rows: list[tuple[object, ...]] = []
    for run in runs:
        every = redrafts(run)
        for coupling in COUPLINGS if run.coupling is None else (run.coupling,):
            rows += [(run.label, coupling, *row) for row in _rows(every, coupling)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(every: Redrafts, coupling: str) -> list[tuple[object, ...]]:
    predicted = every.predicted[coupling]
    share = np.histogram(np.clip(predicted, 0, 1), EDGES)[0] / len(predicted)
    rows: list[tuple[object, ...]] = [
        ("bin", float(left), float(right), float(s), len(predicted))
        for left, right, s in zip(EDGES[:-1], EDGES[1:], share, strict=True)
    ]
    kinds = {"measured": every.kept, "predicted": predicted, "difference": every.kept - predicted}
    for kind, values in kinds.items():
        found = rate(values, every.sequence)
        rows.append((kind, found.low, found.high, found.value, found.n))
    return rows


def _series(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(frame["method"], frame["coupling"], strict=True)))


def _name(frame: pd.DataFrame, method: str, coupling: str, *, drawn: bool = True) -> str:
    """How a panel is called: by its method, and by what is assumed of it where that is not known."""
    assumed = frame.loc[frame["method"] == method, "coupling"].nunique() > 1
    label = look(method).drawn if drawn else look(method).label
    return f"{label}, if {SPOKEN[coupling]}" if assumed else f"{label} ({SPOKEN[coupling]})"


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """Histograms above, rates below."""
    names = [f"{method}:{coupling}" for method, coupling in _series(frame)]
    return panels([names, ["rates"] * len(names)], (7.2, 4.5), height_ratios=[1.5, 1])


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """A histogram a method, and the rates."""
    series = _series(frame)
    top = frame.loc[frame["kind"] == "bin", "value"].max()
    for method, coupling in series:
        rows = frame[(frame["method"] == method) & (frame["coupling"] == coupling)]
        ax = axes[f"{method}:{coupling}"]
        _histogram(rows, method, ax)
        ax.set(xlabel="collision probability", xlim=(0, 1), ylabel="", ylim=(0, 1.08 * top))
        ax.set_title(_name(frame, method, coupling))
    axes[":".join(series[0])].set_ylabel("share of redrafts")
    axes[":".join(series[0])].legend(loc="upper right", fontsize=7)
    _rates(frame, axes["rates"])
    put_letters([*(axes[":".join(one)] for one in series), axes["rates"]])


def _histogram(rows: pd.DataFrame, method: str, ax: Axes) -> None:
    one, bins = look(method), rows[rows["kind"] == "bin"]
    seaborn.histplot(bins.assign(at=(bins["low"] + bins["high"]) / 2), x="at", weights="value", bins=list(EDGES), ax=ax,
                     color=one.color, alpha=0.4, edgecolor=one.color, hatch=one.hatch, linewidth=0.8)  # fmt: skip
    for kind, line, width in (("predicted", "-", 1.0), ("measured", ":", 1.8)):
        value = float(rows.loc[rows["kind"] == kind, "value"].iloc[0])
        ax.axvline(value, color="black", linestyle=line, linewidth=width, label=f"{kind} mean")


def _found(frame: pd.DataFrame, method: str, coupling: str) -> dict[str, Any]:
    """Measured and predicted rate and their difference, a row each."""
    rows = frame[(frame["method"] == method) & (frame["coupling"] == coupling) & (frame["kind"] != "bin")]
    return {str(row.kind): row for row in rows.itertuples()}


def _rates(frame: pd.DataFrame, ax: Axes) -> None:
    """Measured beside predicted, a row a method."""
    series = _series(frame)
    rows = frame[frame["kind"].isin(list(RATES))]
    named = [_name(frame, *one) for one in zip(rows["method"], rows["coupling"], strict=True)]
    lines(ax, rows.assign(series=named), "series", RATES, "kind", dodge=0.3, orient="y",
          native_scale=False, capsize=0.15)  # fmt: skip
    for row, (method, coupling) in enumerate(series):
        found = _found(frame, method, coupling)  # written into the right margin, where no interval reaches
        text = "\n".join(f"{found[kind].value:.3f} {kind}" for kind in reversed(RATES))
        ax.text(1.01, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=7.5)
    ax.set(xlim=(0, 1), ylim=(len(series) - 0.5, -0.5), xlabel="share of redrafts that keep their token, 95% intervals")
    ax.set_ylabel("")
    ax.grid(visible=False, axis="y")
    ax.set_title("measured and predicted rate")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0.2)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Rates and their difference."""
    parts = []
    for method, coupling in _series(frame):
        found = _found(frame, method, coupling)
        gap = found["difference"]
        parts.append(
            f"{_name(frame, method, coupling, drawn=False)} {found['measured'].value:.3f} measured and "
            f"{found['predicted'].value:.3f} predicted (difference {gap.value:+.4f}, 95% interval "
            f"{gap.low:+.4f} to {gap.high:+.4f})"
        )
    return (
        "Probability that two successive drafts of a position collide, computed from the two laws, for every redraft "
        f"of an earlier redraft (initial drafts left out); and the share that did: {listed(parts)}. {source(settings)}"
    )


SUMMARY = "histograms of collision probability of successive drafts, with measured rates"

FIGURE = Figure(
    compute,
    layout,
    draw,
    caption,
    variables=("total_variation", "collision_independent", "collision_gumbel"),
)
