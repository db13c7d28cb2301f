"""How often a token changes before it is committed, and whether drafts settle as they age in the window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Figure, Panels, Run, Settings
from scd_analysis.figures.marks import bars, lines, looks_of
from scd_analysis.figures.style import panels, put_letters
from scd_analysis.figures.words import by_method, methods, source, with_ends
from scd_analysis.trace import trajectories
from scd_analysis.trace.trajectories import PREDICTED_BY

RARE = 0.02
"""Ages at which fewer than this share of the redrafts happen are left out: what is left there is not typical."""

COLUMNS = ("method", "kind", "age", "value", "low", "high", "n")


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Rows of three kinds, with 95% intervals over sequences.

    ``changes``: draft changes a token between entering the window and commit. ``kept``: share of redrafts at ``age``
    that kept their token. ``predicted``: mean collision probability of the same redrafts, where theory gives it.
    """
    rows: list[tuple[object, ...]] = []
    for run in runs:
        changes = trajectories.mean_interval(trajectories.instability(run.trace))
        rows.append((run.label, "changes", None, changes.value, changes.low, changes.high, changes.n))
        rows += [(run.label, *row) for row in _by_age(run)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _by_age(run: Run) -> Iterator[tuple[object, ...]]:
    """Sums by sequence and age; age 0 is left out, because an initial draft was made up."""
    name = PREDICTED_BY.get(run.coupling or "")
    last = run.trace.sizes["iteration"]
    sums: dict[str, list[npt.NDArray[np.float64]]] = {"kept": [], "predicted": [], "count": []}
    for part in trajectories.read(run.trace, ("age", "draft_token", "next_token", "committed", *filter(None, [name]))):
        redrafted = (part["age"] > 0) & (part["committed"] == 0)
        values = {"kept": part["draft_token"] == part["next_token"], "count": np.ones(redrafted.shape)}
        if name:
            values["predicted"] = 1 - part[name] if run.coupling == "maximal" else part[name]
        cell = np.where(redrafted, part["age"], 0).astype(np.int64)
        cell += np.arange(len(cell))[:, None, None] * (last + 1)
        for kind, value in values.items():
            weight = np.where(redrafted, value, 0.0)
            laid = np.bincount(cell.ravel(), weight.ravel(), len(cell) * (last + 1)).astype(np.float64)
            sums[kind].append(laid.reshape(len(cell), last + 1))
    count = np.concatenate(sums["count"])
    if not count.any():
        raise InputError(f"the trace of {run.label!r} has no redraft of a redraft: none waited for two passes")
    common = (count.sum(0) >= RARE * count.sum()) & ((count > 0).sum(0) >= 2)
    for kind in ("kept", "predicted") if name else ("kept",):
        for age in np.flatnonzero(common):
            found = trajectories.ratio_interval(np.concatenate(sums[kind])[:, age], count[:, age])
            yield (kind, int(age), found.value, found.low, found.high, int(count[:, age].sum()))


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """Changes a token, then collision by age."""
    return panels([["changes", "age"]], (7.0, 3.4), width_ratios=[1, 2])


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Bars with intervals; lines with intervals, and theory as crosses."""
    ax, changes = axes["changes"], frame[frame["kind"] == "changes"]
    bars(ax, changes, "method")
    ax.tick_params(axis="x", rotation=30)
    ax.set(xlabel="method", ylabel="draft changes a token (times)")
    ax.set_title("changes before commit")
    ax, looks = axes["age"], looks_of(frame)
    lines(ax, frame[frame["kind"] == "kept"], "age", dodge=0.25, markersize=4)
    handles, labels = ax.get_legend_handles_labels()
    if (frame["kind"] == "predicted").any():
        crosses = {name: replace(one, color="black", marker="x", linestyle="none") for name, one in looks.items()}
        theory = frame[frame["kind"] == "predicted"]
        lines(ax, theory, "age", crosses, dodge=0.25, markersize=4, markeredgewidth=1, errorbar=None, zorder=4)
        handles, labels = [*handles, ax.lines[-1]], [*labels, "theory"]
    ax.set(xlabel="age (passes in the window)", ylabel="drafts that keep their token (share)", ylim=(0, 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_title("collision by age")
    ax.legend(handles, labels, loc="upper left", ncols=3, fontsize=7)
    put_letters([axes["changes"], axes["age"]])


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Changes, and collision at the first and the last age shown."""
    changes = frame[frame["kind"] == "changes"]
    parts = by_method({str(row.method): with_ends(row) for row in changes.itertuples()})
    ends, away = {}, []
    for method in methods(frame):
        kept = frame[(frame["method"] == method) & (frame["kind"] == "kept")].sort_values("age")
        first, last = kept.iloc[0], kept.iloc[-1]
        ends[method] = f"{first['value']:.3f} at age {first['age']:.0f} and {last['value']:.3f} at {last['age']:.0f}"
        theory = frame[(frame["method"] == method) & (frame["kind"] == "predicted")]
        both = kept.merge(theory, on="age", suffixes=("", "_in_theory"))
        away += (both["value"] - both["value_in_theory"]).abs().tolist()
    near = f" Theory (crosses), from the two laws, is at most {max(away):.3f} away." if away else ""
    return (
        "(a) How often a token's draft changes between entering the window and commit, the commit's own change "
        f"included: {parts}. (b) Share of redrafts that keep their token, by the number of passes since the position "
        f"entered (ages of fewer than {RARE:.0%} of the redrafts left out, and initial drafts): {by_method(ends)}, "
        f"with 95% intervals over sequences.{near} {source(settings)}"
    )


SUMMARY = "draft changes a token before commit, and collision by age in the window"

FIGURE = Figure(compute, layout, draw, caption, variables=("draft_token",))
