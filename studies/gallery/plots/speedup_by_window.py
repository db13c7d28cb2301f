"""How many fewer passes each method needs, by window."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullLocator

from scd_analysis.figures.base import Panels, Run, Settings
from scd_analysis.figures.marks import lines
from scd_analysis.figures.style import panels
from scd_analysis.figures.words import by_method, listed, methods, source
from scd_analysis.trace import trajectories
from studies.gallery.exhibit import STUDIED, Exhibit, RunSpec, Scale
from studies.gallery.reported import LUMINA, SCD_GAINS_UP_TO, SJD_GAINS_UP_TO

COLUMNS = ("method", "window", "value", "low", "high", "n", "model", "bits_per_token_held_out")


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a method and window: speed-up over ancestral sampling (``value``), 95% interval, ``n`` sequences."""
    rows = []
    for run in runs:
        found = trajectories.speedup(run.trace)
        rows.append(
            (
                run.label,
                run.window,
                found.value,
                found.low,
                found.high,
                found.n,
                run.settings.get("model", ""),
                run.bits,
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel."""
    return panels([["main"]], (5.2, 3.9))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """A line a method, a little apart; ancestral sampling at 1."""
    ax = axes["main"]
    lines(ax, frame, "window", log_scale=(2, None))
    ax.axhline(1, color="black", linestyle=":", linewidth=1)
    ax.annotate(
        "AR", (1, 1), xycoords=("axes fraction", "data"), xytext=(-2, -11), textcoords="offset points", ha="right"
    )
    windows = sorted(frame["window"].unique())
    ax.set_xticks(windows, [str(window) for window in windows])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel="window (positions)", ylabel="NFE speed-up over AR (times)", ylim=(0, None))
    ax.legend(loc="upper left")
    ax.set_title(_note(frame))


def _note(frame: pd.DataFrame) -> str:
    """What every speed-up depends on: an undertrained model flatters the couplings."""
    first = frame.iloc[0]
    bits = first["bits_per_token_held_out"]
    return f"model {first['model']}" + (f": {bits:.2f} bits a token held out" if pd.notna(bits) else "")


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """The ends of every line."""
    ends = {}
    for method in methods(frame):
        rows = frame[frame["method"] == method].sort_values("window")
        ends[method] = listed(
            f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}] at {row.window}" for row in rows.itertuples()
        )
    every = "; ".join(by_method({method: found}) for method, found in ends.items())
    return (
        "Speed-up over ancestral sampling in forward passes (number of tokens over mean NFE), by method and window, "
        f"with 95% intervals over sequences: {every}. {source(settings)}"
    )


def needs(scale: Scale) -> list[RunSpec]:
    """Every window; the main one with as many sequences as the other figures use."""
    return [
        RunSpec("photos", method, window, scale.sequences if window == scale.window else scale.sweep_sequences)
        for method in (*STUDIED, "sjd-vp")
        for window in scale.windows
    ]


_AT_64 = LUMINA.row("sjd")
SUMMARY = "NFE speed-up over AR by method and window, with 95% intervals"

FIGURE = Exhibit(
    compute,
    layout,
    draw,
    caption,
    needs=needs,
    paper=(
        f"The SCD paper reports {_AT_64.speedup} for SJD, {LUMINA.row('scd-mc').speedup} for SCD-MC and "
        f"{LUMINA.row('scd-gs').speedup} for SCD-GS at window {_AT_64.window} on {LUMINA.model}, that SJD stops "
        f"improving beyond window {SJD_GAINS_UP_TO}, and that SCD keeps improving up to {SCD_GAINS_UP_TO}."
    ),
)
