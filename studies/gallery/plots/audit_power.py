"""Sequences until each planted fault is refuted, against what is possible and what is in use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.conditions import Condition
from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import lines, points
from scd_analysis.figures.style import INK, Look, panels, put_letters
from studies.gallery.exhibit import Exhibit

TODAY = {
    "audit": "this audit",
    "pearson": "Pearson",
    "likelihood-ratio": "G",
    "mmd": "MMD",
    "convergence-ratio": "convergence",
}


AUDITS = {"samples": Look("audit of tokens", "#0072B2", "s", "none")}
TIMES = {
    "stein": Look("Stein's limit", INK, "|"),
    "oracle": Look("best fixed sample", "#CC79A7", "x"),
    "trace": Look("traces", "#E69F00", "o"),
    "trace_mrs": Look("traces, rule stated", "#009E73", "D"),
}
MARKS: dict[str, dict[str, Any]] = {
    "stein": {"s": 60, "linewidth": 1.5},
    "oracle": {"s": 18, "linewidth": 1.2},
    "trace": {"s": 16, "linewidth": 0},
    "trace_mrs": {"s": 9, "linewidth": 0},
}


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a fault: stopping times, Stein's limit, the oracle's size, and the power of tests in use."""
    rows = []
    for row in result["rows"]:
        power = row["power_today"] or {}
        rows.append(
            {
                "fault": row["fault"],
                "condition": row["condition"],
                "total_variation": row["total_variation"],
                "stein": row["stein"],
                "samples": row["samples_mean"],
                "samples_low": row["samples_low"],
                "samples_high": row["samples_high"],
                "trace": row["trace_mean"],
                "trace_mrs": row["trace_mrs_mean"],
                "oracle": row["oracle_0.9"],
                "efficiency": row["efficiency"],
                "named": row["trace_named_right"],
                "named_mrs": row["trace_mrs_named_right"],
                "power_audit": row["audit_power"],
                **{f"power_{name}": power.get(name) for name in TODAY if name != "audit"},
            }
        )
    return pd.DataFrame(rows)


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """A line a fault, with room for names."""
    return panels([["times", "today"]], (7.2, 1.3 + 0.155 * len(frame)), width_ratios=[2.6, 1], sharey=True)


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Times on a logarithmic axis; power as shades with numbers."""
    ax, place = axes["times"], np.arange(len(frame)) + 0.5
    marks = pd.concat([frame.assign(place=place, test=name, number=frame[name]) for name in TIMES])
    audits = frame.assign(place=place, test="samples", value=frame["samples"], high=frame["samples_high"])
    lines(ax, audits.assign(low=audits["samples_low"].clip(lower=1)), "place", AUDITS, "test", orient="y",
          markersize=4, markeredgewidth=0, capsize=0)  # fmt: skip
    for name, one in TIMES.items():
        own = marks[marks["test"] == name]
        points(ax, own, "number", "place", {name: one}, "test", zorder=3, **MARKS[name])
    ax.set(xscale="log", xlabel="sequences until refuted at α = 10⁻⁶", ylabel="")
    ax.set_title("sequences until refuted")
    for condition in Condition:
        last = place[frame["condition"] == condition.value]
        if len(last) and last.max() < len(frame) - 1:
            ax.axhline(last.max() + 0.5, color=INK, linewidth=0.5)
    ax.legend(loc="lower center", bbox_to_anchor=(0.45, 1.03), ncols=5, fontsize=6.5, columnspacing=0.8)
    ax, values = axes["today"], frame[[f"power_{name}" for name in TODAY]].to_numpy(dtype=float)
    seaborn.heatmap(values, cmap="Greys", vmin=0, vmax=1.6, annot=True, fmt=".2g", annot_kws={"fontsize": 5.5},
                    cbar=False, rasterized=True, ax=ax)  # fmt: skip
    ax.set_xticks(ax.get_xticks(), list(TODAY.values()), rotation=35, ha="right", fontsize=6.5)
    ax.grid(visible=False)
    ax.tick_params(labelleft=False, left=False)
    ax.set_title("power, α = 0.01")
    axes["times"].set_yticks(place, frame["fault"], fontsize=6.5)
    put_letters([axes["times"], axes["today"]])


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Efficiency, and how many times fewer with a trace."""
    ratio = (frame["samples"] / frame["trace"])[frame["condition"].isin(["declared-law", "independence"])]
    against = (frame["samples"] / frame["oracle"]).max()
    fewer, least = ratio.median(), np.floor(ratio.min())
    slower = int((2 * frame["trace_mrs"] < frame["trace"]).sum())
    fixed, convergence = f"{settings['fixed_sample']:,}", f"{settings['convergence'][1]:,}"
    return (
        f"(a) Sequences until each of {len(frame)} planted faults and rivals is refuted at α = 10⁻⁶, in the order of "
        f"the five conditions: Stein's limit from the exact law, mean of {settings['repeats']} audits of tokens with "
        "its 95% interval, mean of as many with traces, held to every exact rule that is known and to the one that the "
        "decoder claims, and the fixed sample at which the better of Pearson's and the "
        "G test has power 0.9, chosen by an oracle. Efficiency (limit over mean): median "
        f"{frame['efficiency'].median():.2f}, least {frame['efficiency'].min():.2f}; at most {against:.2f} times the "
        "oracle's sample. With a trace, faults of declared laws and of independence take a median of "
        f"{fewer:.0f} times fewer, at least {least:.0f}; where the rule is stated {slower} of all faults "
        "take less than half as many as where it is not. The condition named is the right one for "
        f"{frame['named'].mean():.0%}, and for {frame['named_mrs'].mean():.0%} with the rule stated. (b) Share of runs "
        f"refuted at α = 0.01: the audit within {fixed} sequences, "
        f"Pearson's, the G and the MMD test at {fixed}, and the convergence criterion at {convergence}, each "
        f"calibrated on right decoders. Small models of 3 or 4 tokens. Made by `{settings['command']}`."
    )


SUMMARY = "sequences until each planted fault is refuted, against Stein's limit and the tests in use"

FIGURE = Exhibit(compute, layout, draw, caption, result="power")
