"""How much the first draft of a position matters."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullLocator

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import lines
from scd_analysis.figures.style import panels, put_letters
from scd_analysis.figures.words import bits, by_method, listed, methods, with_ends
from studies.gallery.exhibit import Exhibit
from studies.gallery.reported import SCD_GAINS_UP_TO, SJD_GAINS_UP_TO

TITLES = {
    "uniform": "uniform over the codes",
    "left": "the left neighbour's token",
    "upper": "the upper neighbour's token",
}


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a first draft, window and method: speed-up (``value``) with its 95% interval."""
    rows = []
    for r in result["rows"]:
        tokens = r["speedup"] * r["mean_nfe"]
        ends = (tokens / r["mean_nfe_high"], tokens / r["mean_nfe_low"])
        rows.append((r["initial"], r["method"], r["window"], r["speedup"], *ends, result["num_sequences"]))
    return pd.DataFrame(rows, columns=["initial", "method", "window", "value", "low", "high", "n"])


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """A panel a first draft."""
    return panels([methods(frame, "initial")], (7.2, 3.1), sharey=True)


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """A line a method."""
    windows = sorted(frame["window"].unique())
    for initial, ax in axes.items():
        lines(ax, frame[frame["initial"] == initial], "window", dodge=0.12, log_scale=(2, None))
        ax.set_xticks(windows, [str(window) for window in windows])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("window (positions)")
        ax.set_title(TITLES.get(initial, initial))
    first = next(iter(axes.values()))
    first.set_ylabel("NFE speed-up over AR (times)")
    first.set_ylim(bottom=0)
    first.legend(loc="lower right")
    put_letters(list(axes.values()))


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Every line."""
    parts = []
    for initial in methods(frame, "initial"):
        said = {}
        for method in methods(frame):
            rows = frame[(frame["initial"] == initial) & (frame["method"] == method)].sort_values("window")
            said[method] = ", ".join(with_ends(row) for row in rows.itertuples())
        parts.append(f"{TITLES.get(initial, initial)}: {by_method(said)}")
    windows = listed(str(window) for window in sorted(frame["window"].unique()))
    return (
        "Speed-up in passes by window, for three ways to make the first draft of a position up; all declare the point "
        f"mass on it, so all are lossless. 95% intervals over sequences. At windows {windows}: {'; '.join(parts)}. "
        f"Model {settings['model']}{bits(settings)}; {settings['num_sequences']} sequences a point; "
        f"seed {settings['seed']}. Made by `{settings['command']}`."
    )


SUMMARY = "speed-up by the first draft of a position"

FIGURE = Exhibit(
    compute,
    layout,
    draw,
    caption,
    result="initial_drafts",
    paper=(
        f"The SCD paper reports that SJD stops improving beyond window {SJD_GAINS_UP_TO} and SCD keeps improving up to "
        f"{SCD_GAINS_UP_TO}; which first drafts it uses we have not on file."
    ),
)
