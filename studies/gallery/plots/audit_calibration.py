"""How often audits refute lossless decoders, against the rate that is claimed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from scipy import stats

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import curves
from scd_analysis.figures.style import INK, Look, panels, put_letters
from studies.gallery.exhibit import Exhibit

GRADES = {
    "samples": Look("tokens only", "#0072B2", "s", "-"),
    "trace": Look("traces", "#E69F00", "o", "--"),
    "trace without variates": Look("traces without variates", "#CC79A7", "D", "-."),
    "trace without laws": Look("traces without laws", "#56B4E9", "^", (0, (4, 1))),
    "trace of tokens and flags": Look("traces of tokens and flags", "#000000", "P", ":"),
    "trace of a rule": Look("traces of every exact rule", "#009E73", "v", (0, (3, 1, 1, 1))),
    "kernel": Look("kernels of exact rules", "#D55E00", "X", (0, (1, 1))),
}


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a grade and alpha (``kind`` is ``"rate"``), then one a bin of the PIT (``"pit"``)."""
    rows = [
        ("rate", row["grade"], row["alpha"], row["rate"], row["low"], row["high"], row["audits"])
        for row in result["rows"]
    ]
    counts = np.array(result["pit_histogram"])
    share = counts / counts.sum() * len(counts)
    rows += [("pit", "", (i + 0.5) / len(share), value, None, None, int(counts.sum())) for i, value in enumerate(share)]
    return pd.DataFrame(rows, columns=["kind", "grade", "x", "value", "low", "high", "n"])


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """Rates, then the PIT."""
    return panels([["rate", "pit"]], (6.8, 3.2), width_ratios=[1.3, 1])


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Rates with intervals below the line that bounds them; the PIT with the band of its noise."""
    ax, rates = axes["rate"], frame[frame["kind"] == "rate"]
    ends = np.array([rates["x"].min() / 2, 1.0])
    ax.plot(ends, ends, color=INK, linewidth=1, label="bound (Ville)")
    curves(ax, rates[rates["value"] > 0], "x", GRADES, "grade", err_style="bars")
    for grade, one in GRADES.items():
        none = rates[(rates["grade"] == grade) & (rates["value"] == 0)]
        ax.plot(none["x"], none["high"], marker="v", color="white", markeredgecolor=one.color, linestyle="", zorder=3)
    ax.set(xscale="log", yscale="log", xlabel="level of the audit, α", ylabel="lossless decoders refuted (share)")
    ax.set_title("refuted at some time, at most α")
    ax.legend(loc="lower right", fontsize=6)
    ax, pit = axes["pit"], frame[frame["kind"] == "pit"]
    noise = 1.96 * np.sqrt(len(pit) / float(pit["n"].iloc[0]))
    ax.axhspan(1 - noise, 1 + noise, color="#d9d9d9", label="95% of noise")
    seaborn.histplot(pit, x="x", weights="value", bins=len(pit), binrange=(0, 1), element="step", fill=False,
                     color="#009E73", label="all tokens", ax=ax)  # fmt: skip
    ax.set(xlabel="randomised PIT", ylabel="density", xlim=(0, 1), ylim=(1 - 8 * noise, 1 + 8 * noise))
    ax.set_title("PIT of lossless decoders")
    ax.legend(loc="upper right")
    put_letters([axes["rate"], axes["pit"]])


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Rates at the usual levels."""
    parts = []
    for grade, one in GRADES.items():
        rows = frame[(frame["kind"] == "rate") & (frame["grade"] == grade)]
        shares = ", ".join(f"{v:.2g} at {a:g}" for a, v in zip(rows["x"], rows["value"], strict=True) if a <= 0.2)
        parts.append(f"{one.label}, {int(rows['n'].iloc[0]):,} audits: {shares}")
    pit = frame[frame["kind"] == "pit"]
    counts = np.round(pit["value"] * pit["n"].iloc[0] / len(pit))
    p_value = float(stats.chisquare(counts, np.full(len(counts), counts.mean())).pvalue)
    return (
        f"(a) Share of lossless decoders whose ln E ever reached ln(1/α) within {settings['sequences_an_audit']} "
        "sequences, with exact 95% intervals; hollow, the upper end of the interval where none did. "
        f"{'; '.join(parts)}. Models: {', '.join(settings['models'])}; methods: {', '.join(settings['methods'])}; "
        f"rules: {', '.join(settings['rules'])}; kernels at {', '.join(settings['windows'])}. "
        f"(b) Randomised PIT of {int(pit['n'].iloc[0]):,} tokens, uniform under the null (chi-square p = "
        f"{p_value:.2f}). Made by `{settings['command']}`."
    )


SUMMARY = "rate at which audits refute lossless decoders, and the PIT of their tokens"

FIGURE = Exhibit(compute, layout, draw, caption, result="calibration")
