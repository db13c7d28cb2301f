"""How many tokens a pass commits: the distribution by method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, NullLocator

from scd_analysis.figures.base import Figure, Panels, Run, Settings
from scd_analysis.figures.marks import bars, curves
from scd_analysis.figures.style import panels, put_letters
from scd_analysis.figures.words import by_method, source, with_ends
from scd_analysis.trace import trajectories

SHOWN = 6
"""Counts with a bar of their own; all above are one bar."""

COLUMNS = ("method", "kind", "tokens", "value", "low", "high", "n")


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Rows of three kinds, with 95% intervals over sequences and the number of passes.

    ``share``: of passes that commit ``tokens`` (the last of them: or more). ``at_least``: of passes that commit so many
    or more. ``mean``: tokens a pass.
    """
    return pd.DataFrame([row for run in runs for row in _rows(run)], columns=list(COLUMNS))


def _rows(run: Run) -> Iterator[tuple[object, ...]]:
    counts = _counts(run)
    passes, longest = counts.sum(1), counts.shape[1]
    at_least = counts[:, ::-1].cumsum(1)[:, ::-1]
    none = np.zeros(len(counts))
    wanted: list[tuple[str, int | None, npt.NDArray[np.float64]]] = [("mean", None, counts @ np.arange(longest))]
    wanted += [("share", k, counts[:, k] if k < longest else none) for k in range(1, SHOWN + 1)]
    wanted += [("share", SHOWN + 1, at_least[:, SHOWN + 1] if SHOWN + 1 < longest else none)]
    wanted += [("at_least", k, at_least[:, k]) for k in range(1, longest) if at_least[:, k].any()]
    for kind, tokens, top in wanted:
        found = trajectories.ratio_interval(top, passes)
        yield (run.label, kind, tokens, found.value, found.low, found.high, int(passes.sum()))


def _counts(run: Run) -> npt.NDArray[np.float64]:
    """Passes by sequence and number of tokens committed."""
    longest = run.trace.sizes["slot"] + 2
    rows = [
        np.bincount(values[~np.isnan(values)].astype(np.int64), minlength=longest)
        for part in trajectories.read(run.trace, ("num_committed",))
        for values in part["num_committed"]
    ]
    return np.array(rows, dtype=np.float64)


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """Shares, then the tail."""
    return panels([["share", "tail"]], (7.0, 3.3), width_ratios=[1.5, 1])


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Bars with intervals; shares of passes of at least so many tokens on logarithmic axes."""
    ax = axes["share"]
    bars(ax, frame[frame["kind"] == "share"], "tokens", capsize=0.1)
    ticks = range(SHOWN + 1)
    ax.set_xticks(ticks, [*(str(tick + 1) for tick in ticks[:-1]), f"≥ {SHOWN + 1}"])
    ax.set(xlabel="tokens committed by a pass", ylabel="passes (share)", ylim=(0, None))
    ax.set_title("passes by tokens committed")
    ax.legend(loc="upper right")
    ax, tail = axes["tail"], frame[frame["kind"] == "at_least"]
    known = np.isfinite(tail["high"]) & (tail["low"] > 0)
    curves(ax, tail.assign(low=tail["low"].where(known), high=tail["high"].where(known)), "tokens", markersize=3)
    ax.set(xscale="log", yscale="log", ylim=(tail["value"].min() / 3, 1.3))
    ax.set(xlabel="tokens committed, at least", ylabel="passes (share)")
    ax.xaxis.set_major_locator(FixedLocator([1, 2, 4, 8, 16, 32, 64]))
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_title("the tail")
    put_letters([axes["share"], axes["tail"]])


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Tokens a pass, and how many passes commit a single one."""

    def said(rows: pd.DataFrame) -> str:
        return by_method({str(row.method): with_ends(row) for row in rows.itertuples()})

    single = frame[(frame["kind"] == "share") & (frame["tokens"] == 1)]
    return (
        "(a) Share of passes that commit so many tokens, the one after the last accepted draft included, with 95% "
        f"intervals over sequences, and (b) share that commit at least so many (shaded: 95%). Tokens a pass: "
        f"{said(frame[frame['kind'] == 'mean'])}. Share of passes that commit a single token: {said(single)}. "
        f"{source(settings)}"
    )


SUMMARY = "tokens committed by a pass: distribution by method"

FIGURE = Figure(compute, layout, draw, caption, variables=("num_committed",))
