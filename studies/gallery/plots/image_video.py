"""Whether the couplings gain more on a video than on an image."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullLocator

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import lines
from scd_analysis.figures.style import INK, panels, put_letters
from scd_analysis.figures.words import by_method, listed, methods, with_ends
from studies.gallery.exhibit import Exhibit
from studies.gallery.reported import COSMOS, LUMINA


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a model, method and window: speed-up (``value``) with its 95% interval, tokens and bits a token."""
    kept = ["model", "method", "window", "gain", "gain_low", "gain_high", "n", "num_tokens", "bits_per_token"]
    names = {"gain": "value", "gain_low": "low", "gain_high": "high"}
    return pd.DataFrame(result["rows"])[kept].rename(columns=names)


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """A panel a model."""
    return panels([methods(frame, "model")], (6.6, 3.4), sharey=True)


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """A line a method, in one scale."""
    windows = sorted(frame["window"].unique())
    for model, ax in axes.items():
        own = frame[frame["model"] == model]
        lines(ax, own, "window", dodge=0.12, log_scale=(2, None))
        ax.axhline(1, color=INK, linestyle=":", linewidth=1)
        ax.set_xticks(windows, [str(window) for window in windows])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("window (positions)")
        ax.set_title(f"{model}: {own['bits_per_token'].iloc[0]:.2f} bits a token")
    first = next(iter(axes.values()))
    first.set_ylim(bottom=0)
    first.set_ylabel("NFE speed-up over AR (times)")
    first.legend(loc="upper left")
    put_letters(list(axes.values()))


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Every model at its widest window."""
    parts, last = [], frame["window"].max()
    for model in methods(frame, "model"):
        own = frame[(frame["model"] == model) & (frame["window"] == last)]
        said = by_method({str(row.method): f"{with_ends(row)}" for row in own.itertuples()})
        first = own.iloc[0]
        parts.append(
            f"{model} ({first['num_tokens']:.0f} tokens, {first['bits_per_token']:.2f} bits a token held out): {said}"
        )
    windows = listed(str(window) for window in sorted(frame["window"].unique()))
    return (
        f"Speed-up in passes by window ({windows}) on an image model and on a video model, with 95% intervals over "
        f"sequences. At window {last}: {'; '.join(parts)}. {int(frame['n'].max())} sequences a point; seed "
        f"{settings['seed']}. Made by `{settings['command']}`."
    )


SUMMARY = "speed-up on a video beside an image"

FIGURE = Exhibit(
    compute,
    layout,
    draw,
    caption,
    result="video_gain",
    paper=(
        f"The SCD paper reports on video ({COSMOS.model}, window {COSMOS.row('scd-gs').window}) "
        f"{COSMOS.row('sjd').speedup} for SJD and {COSMOS.row('scd-gs').speedup} for SCD-GS, more than on images "
        f"({LUMINA.row('sjd').speedup} and {LUMINA.row('scd-gs').speedup}, {LUMINA.model})."
    ),
)
