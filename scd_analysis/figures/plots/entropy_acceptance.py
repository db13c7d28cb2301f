"""Whether a position that is hard to predict is hard to accept: acceptance against the entropies of its law."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Figure, Panels, Run, Settings
from scd_analysis.figures.marks import curves
from scd_analysis.figures.style import look, panels, put_letters
from scd_analysis.figures.words import by_method, methods, source
from scd_analysis.trace import trajectories

EDGES = np.array([0, 0.05, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 8])
"""Of the bins, nats."""

RARE = 0.003
"""Bins with fewer than this share of the positions are left out."""

FEW = 20
"""Redrafts, of which fewer are not averaged."""

PANELS = {"entropy": "Shannon entropy of the target law (nats)", "renyi2": "Rényi-2 entropy of the target law (nats)"}
COLUMNS = ("method", "kind", "entropy", "at", "value", "low", "high", "share", "n")


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Rows of two kinds, for each of both entropies.

    ``bin``: mean acceptance probability ``1 - TV`` (``value``) over the redrafts whose entropy lies in a bin (mean
    ``at``, ``share`` of all), with 95% interval over sequences. ``correlation``: of acceptance and entropy, by
    sequence, averaged.
    """
    return pd.DataFrame([row for run in runs for row in _rows(run)], columns=list(COLUMNS))


def _rows(run: Run) -> Iterator[tuple[object, ...]]:
    columns: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in ("sequence", "accept", *PANELS)}
    first = 0
    for part in trajectories.read(run.trace, ("age", "total_variation", *PANELS), 16):
        used = (part["age"] > 0) & ~np.isnan(part["total_variation"])
        which = first + np.arange(len(used))[:, None, None]
        first += len(used)
        columns["sequence"].append(np.broadcast_to(which, used.shape)[used].astype(np.float64))
        columns["accept"].append((1 - part["total_variation"])[used].astype(np.float64))
        for name in PANELS:
            columns[name].append(part[name][used].astype(np.float64))
    flat = {name: np.concatenate(parts) for name, parts in columns.items()}
    sequence, accept = flat["sequence"].astype(np.int64), flat["accept"]
    if len(accept) < FEW:
        raise InputError(f"the trace of {run.label!r} has {len(accept)} redrafts, too few to average")
    for name in PANELS:
        which = np.digitize(flat[name], EDGES[1:-1])
        for index in range(len(EDGES) - 1):
            inside = which == index
            if inside.sum() < max(min(FEW, inside.size / len(EDGES)), RARE * len(accept)):
                continue
            size = np.bincount(sequence[inside], minlength=sequence.max() + 1).astype(np.float64)
            found = trajectories.ratio_interval(np.bincount(sequence[inside], accept[inside], len(size)), size)
            place = (name, float(flat[name][inside].mean()))
            yield (run.label, "bin", *place, found.value, found.low, found.high, inside.mean(), int(inside.sum()))
        each = [_correlation(accept[sequence == s], flat[name][sequence == s]) for s in np.unique(sequence)]
        if not np.isnan(each).all():
            mean = trajectories.mean_interval(each)
            yield (run.label, "correlation", name, None, mean.value, mean.low, mean.high, None, mean.n)


def _correlation(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    if len(x) < 3 or x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """An entropy a panel."""
    return panels([list(PANELS)], (7.0, 3.3), sharey=True)


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """A line a method; below, the share of redrafts in each bin of the first of them."""
    bins, first = frame[frame["kind"] == "bin"], methods(frame)[0]
    for name, label in PANELS.items():
        ax, rows = axes[name], bins[bins["entropy"] == name]
        curves(ax, rows, "at", err_style="bars", markersize=4)
        shares = f"share of redrafts ({look(first).drawn})"
        seaborn.histplot(rows[rows["method"] == first], x="at", weights="share", bins=list(EDGES), shrink=0.7, zorder=0,
                         color="#bbbbbb", linewidth=0, label=shares, ax=ax)  # fmt: skip
        ax.set(xlabel=label, ylabel="acceptance probability (1 - TV)", ylim=(0, 1.02))
        ax.set_xlim(-0.2, rows["at"].max() + 0.3)
    axes["entropy"].set_title("Shannon")
    axes["renyi2"].set_title("Rényi-2")
    axes["entropy"].legend(loc="upper right", fontsize=7)
    put_letters(list(axes.values()))


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """The ends of every line, and the correlations."""
    parts, correlations = {}, {}
    for method in methods(frame):
        own = frame[frame["method"] == method]
        rows = own[(own["kind"] == "bin") & (own["entropy"] == "entropy")].sort_values("at")
        first, last = rows.iloc[0], rows.iloc[-1]
        parts[method] = f"{first['value']:.2f} at {first['at']:.2f} nats and {last['value']:.2f} at {last['at']:.2f}"
        found = own[own["kind"] == "correlation"].set_index("entropy")["value"]
        correlations[method] = " and ".join(f"{found[name]:.2f}" for name in PANELS if name in found)
    related = by_method({method: text for method, text in correlations.items() if text})
    return (
        "Mean acceptance probability 1 - TV of redrafts by the entropy of the target law, Shannon's (a) and Rényi's of "
        f"order 2 (b), in nats, with 95% intervals over sequences: {by_method(parts)}. Correlation within a sequence, "
        f"in the order of the panels: {related or 'none to be had'}. Initial drafts are left out. {source(settings)}"
    )


SUMMARY = "acceptance against Shannon and Rényi-2 entropy of the target law"

FIGURE = Figure(compute, layout, draw, caption, variables=("total_variation", "entropy", "renyi2"))
