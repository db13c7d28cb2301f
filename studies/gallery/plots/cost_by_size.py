"""What a pass costs beside the model: verification, drafts and collisions against the size of the laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import curves
from scd_analysis.figures.style import INK, Look, panels, put_letters
from studies.gallery.exhibit import Exhibit

PANELS = {
    "verify and scalars": "verification and scalars",
    "Gumbel draft": "Gumbel drafts",
    "Gumbel collision": "Gumbel collision",
}
WAYS = {
    "compiled": Look("compiled", "#0072B2", "o", "-"),
    "eager": Look("eager", "#E69F00", "s", "--"),
    "simple": Look("simple", "#CC79A7", "^", ":"),
}
FLOOR = "floor"


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a size, job and state of the cache: milliseconds, and as a multiple of one reading of the laws."""
    names = ["batch", "window", "vocab_size", "job", "cached", "ms", "ratio"]
    return pd.DataFrame([[r[name] for name in names] for r in result["rows"]], columns=names)


def by_vocabulary(frame: pd.DataFrame, job: str) -> pd.DataFrame:
    """The sweep of the vocabulary, laws not in the cache."""
    rows = frame[
        (frame["job"] == job) & ~frame["cached"].astype(bool) & (frame["batch"] == 1) & (frame["window"] == 64)
    ]
    return rows.sort_values("vocab_size")


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel a job."""
    return panels([list(PANELS)], (6.8, 3.0), sharey=True)


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Time against vocabulary, over the floor."""
    floor = by_vocabulary(frame, FLOOR)
    for job, title in PANELS.items():
        ax = axes[job]
        ax.plot(floor["vocab_size"], floor["ms"], color=INK, linewidth=1, label="reading both laws")
        rows = pd.concat([by_vocabulary(frame, f"{job}, {way}").assign(way=way) for way in WAYS])
        looks = {way: WAYS[way] for way in rows["way"].unique()}  # collisions are not compiled
        curves(ax, rows.assign(value=rows["ms"], low=np.nan, high=np.nan), "vocab_size", looks, "way")
        ax.set(xscale="log", yscale="log", xlabel="vocabulary, V")
        ax.set_xticks([1024, 8192, 65536], ["1,024", "8,192", "65,536"])
        ax.minorticks_off()
        ax.set_ylim(top=3e3)  # room for the legend
        ax.set_title(title)
    axes[next(iter(PANELS))].set_ylabel("time a pass, ms")
    axes[next(iter(PANELS))].legend(loc="upper left", fontsize=7)
    put_letters(list(axes.values()))


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Multiples of a reading at two vocabularies, and the exponents that were fitted."""
    parts = []
    for job, title in PANELS.items():
        ratios = []
        for size in (8192, 65536):
            rows = frame[(frame["vocab_size"] == size) & (frame["batch"] == 1) & (frame["window"] == 64)]
            cells = {(r["job"], bool(r["cached"])): r["ratio"] for _, r in rows.iterrows()}
            ours = next(f"{job}, {way}" for way in WAYS if (f"{job}, {way}", False) in cells)
            simple = cells[f"{job}, simple", False]
            ratios.append(f"{cells[ours, False]:.1f} ({cells[ours, True]:.1f} in the cache; simple {simple:.0f})")
        parts.append(f"{title} {' and '.join(ratios)}")
    slopes = settings["exponents"]
    fitted = ", ".join(f"V^{slopes[f'{job}, eager by vocab_size']:.2f}" for job in PANELS)
    return (
        "Time a pass at window 64, one sequence, float32 laws, against the vocabulary; in turns, so that no laws lie "
        "in the cache. Compiled (collisions are not), in readings of both laws at V = 8,192 and 65,536: "
        f"{'; '.join(parts)}. Eager times "
        f"grow as {fitted}. *Simple* draws a random number for every token of the vocabulary, and sorts. Merged "
        f"collisions are off by {settings['errors_at_65536']['gumbel_error_max']:.0e} at most at V = 65,536. "
        f"{settings['threads']} threads. Made by `{settings['command']}`."
    )


SUMMARY = "cost of a pass beside the model, by vocabulary"

FIGURE = Exhibit(compute, layout, draw, caption, result="bench_laws")
