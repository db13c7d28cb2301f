"""How much of the gain in forward passes is a gain in time."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.style import INK, look, panels, put_letters
from scd_analysis.figures.words import by_method, methods
from studies.gallery.exhibit import Exhibit

GAIN = "gain"
PLACES = {"sjd": (-12, -2), "scd-mc": (0, 6), "scd-gs": (4, -9)}
"""Where the window stands beside a mark, in points."""


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a method, window and batch size: gains over one token a pass in passes (``nfe``) and in time.

    Gains in time are medians over rounds, with the least and the largest; ``seconds`` are those of a sequence; rows of
    the study that split a decode have no gains and no seconds.
    """
    columns = ["kind", "batch", "method", "window", "n", "nfe", "time", "time_low", "time_high", "seconds"]
    gained = ("gain_nfe", "gain_time", "gain_time_low", "gain_time_high")
    rows = [
        [
            *(r[name] for name in columns[:5]),
            *(r.get(name) for name in gained),
            r["seconds"] if r["kind"] == GAIN else None,
        ]
        for r in result["rows"]
    ]
    return pd.DataFrame(rows, columns=columns)


def gains(frame: pd.DataFrame, batch: int) -> pd.DataFrame:
    """Rows of one batch size, without the method that gains are over."""
    return frame[(frame["kind"] == GAIN) & (frame["batch"] == batch) & (frame["method"] != "ar")]


def seconds(frame: pd.DataFrame, batch: int, settings: list[tuple[str, int]]) -> str:
    """Seconds a sequence of one token a pass and of methods at windows, with gains in time; empty if none was timed."""
    rows = frame[(frame["kind"] == GAIN) & (frame["batch"] == batch)]
    base = rows[rows["method"] == "ar"].iloc[0]
    said = {"ar": f"{base['seconds']:.3g}"}
    for method, window in settings:
        for row in rows[(rows["method"] == method) & (rows["window"] == window)].itertuples():
            said[method] = f"{row.seconds:.3g} ({row.time:.2f} times)"
    place = f"one at a time (mean of {base['n']})" if batch == 1 else f"in a batch of {batch}"
    return f"{place}, {by_method(said)}" if len(said) > 1 else ""


def batches(frame: pd.DataFrame) -> list[int]:
    """Batch sizes, smallest first."""
    return sorted(frame.loc[frame["kind"] == GAIN, "batch"].unique())


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel a batch size."""
    return panels([[str(batch) for batch in batches(frame)]], (6.8, 3.4), sharey=True)


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Marks joined from the smallest window to the largest, below the line of equal gains."""
    top = float(frame[["nfe", "time_high"]].max().max()) * 1.1
    for batch in batches(frame):
        ax, rows = axes[str(batch)], gains(frame, batch)
        ax.plot([0, top], [0, top], color=INK, linewidth=1, label="equal gains")
        ax.axhline(1, color=INK, linewidth=0.6, linestyle=":")
        for method in methods(rows):
            own, style = rows[rows["method"] == method].sort_values("window"), look(method)
            ax.errorbar(
                own["nfe"], own["time"], yerr=[own["time"] - own["time_low"], own["time_high"] - own["time"]],
                color=style.color, marker=style.marker, linestyle=style.linestyle, elinewidth=0.8,
                markeredgecolor="black", markeredgewidth=0.5, label=style.drawn,
            )  # fmt: skip
            for row in own.itertuples():
                ax.annotate(
                    str(row.window), (row.nfe, row.time), xytext=PLACES[method], textcoords="offset points", fontsize=7
                )
        ax.set(xlim=(0, top), ylim=(0, top), xlabel="gain in passes (AR / method)", ylabel="gain in time (AR / method)")
        ax.set_title("one sequence at a time" if batch == 1 else f"batch of {batch}")
    axes[str(batches(frame)[0])].legend(loc="upper left")
    put_letters(list(axes.values()))


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Share of the gain in passes that is left in time, at the window of the figures."""
    window = 32
    parts = []
    for batch in batches(frame):
        rows = gains(frame, batch)
        rows = rows[rows["window"] == window]
        shares = {
            m: f"{t:.2f} of {n:.2f} ({t / n:.0%})"
            for m, t, n in zip(rows["method"], rows["time"], rows["nfe"], strict=True)
        }
        parts.append(f"{'one at a time' if batch == 1 else f'in a batch of {batch}'}, {by_method(shares)}")
    timed = "; ".join(seconds(frame, batch, [(m, window) for m in PLACES]) for batch in batches(frame))
    return (
        "Gain in time against gain in passes, both over one token a pass with the same key-value cache; the number at "
        "a mark is its window. Medians of several rounds, each compared with its own; bars go from the least to the "
        f"largest. Gain in time of gain in passes at window {window}: {'; '.join(parts)}. Seconds a "
        f"sequence there, with the gain in time: {timed}. A pass over a "
        f"window costs more than a pass over one token: little while reading the weights dominates, much once "
        f"arithmetic does, as in a batch on a CPU. Model {settings['model']}, {settings['threads']} threads, without "
        f"recording. Made by `{settings['command']}`."
    )


SUMMARY = "gain in passes against gain in time"

FIGURE = Exhibit(compute, layout, draw, caption, result="bench_decode")
