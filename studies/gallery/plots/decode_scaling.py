"""How the decoder's own time grows with tokens, sequences, window and vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import curves
from scd_analysis.figures.style import INK, panels, put_letters
from scd_analysis.figures.words import by_method
from studies.gallery.exhibit import Exhibit

PANELS = {
    "tokens": ("tokens, N", "time a decode, ms"),
    "batch": ("sequences at once, B", "time a pass, ms"),
    "window": ("window, L", "time a pass, ms"),
    "vocabulary": ("vocabulary, V", "time a pass, ms"),
}
WORDS = {"tokens": "N", "batch": "B", "window": "L", "vocabulary": "V"}


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a size and method: milliseconds of a decode where N varies, of a pass elsewhere."""
    names = ["vary", "method", "tokens", "batch", "window", "vocabulary", "passes", "ms"]
    return pd.DataFrame([[row[name] for name in names] for row in result["rows"]], columns=names)


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel a size that varies."""
    names = list(PANELS)
    return panels([names[:2], names[2:]], (6.0, 5.0))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Time against size, with a line of slope one through the slowest method's largest size."""
    for vary, (size, time) in PANELS.items():
        ax, rows = axes[vary], frame[frame["vary"] == vary]
        curves(ax, rows.assign(value=rows["ms"], low=np.nan, high=np.nan), vary)
        last = rows.sort_values([vary, "ms"]).iloc[-1]
        ends = [float(rows[vary].min()), float(last[vary])]
        ax.plot(ends, [2 * last["ms"] * end / ends[1] for end in ends], color=INK, linewidth=1, linestyle=":",
                label="slope 1")  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel=size, ylabel=time)
        ax.set_ylim(bottom=float(rows["ms"].min()) / 2)
    axes["tokens"].legend(loc="upper left")
    put_letters(list(axes.values()))


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Exponents, and the sizes that stay the same."""
    slopes = settings["exponents"]
    fitted = "; ".join(
        f"{word}, {by_method({method: f'{slope:.2f}' for method, slope in slopes[vary].items()})}"
        for vary, word in WORDS.items()
    )
    base = frame[frame["vary"] == "batch"].iloc[0]
    batch = frame.loc[frame["vary"] == "tokens", "batch"].iloc[0]
    wide = frame[frame["vary"] == "vocabulary"].iloc[0]
    return (
        "The decoder's own time: the model is a table of laws by position, so that a pass is verification, drafting "
        "and bookkeeping. Medians. (a) A whole decode; (b) to (d) a pass, since a wider window makes fewer of them. "
        f"Exponents, over the upper half of the sizes: {fitted}; the dotted lines are linear. Other sizes: "
        f"N = {base['tokens']}, B = {batch}, L = {base['window']} and V = {base['vocabulary']} (where V varies, "
        f"N = {wide['tokens']} and B = {wide['batch']}). Eager, float32, {settings['threads']} threads, without "
        f"recording. Made by `{settings['command']}`."
    )


SUMMARY = "the decoder's own time by size"

FIGURE = Exhibit(compute, layout, draw, caption, result="bench_scaling")
