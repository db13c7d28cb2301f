"""SJD-VP's motivation: whether a token whose probability rose is the verified one, and the correct one; and gamma."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import bars, curves, lines
from scd_analysis.figures.style import INK, Look, look, panels, put_letters
from scd_analysis.figures.words import with_ends
from studies.gallery.exhibit import Exhibit
from studies.gallery.reported import STATEMENTS
from studies.gallery.results import of_study

BARS = {
    "chance": Look("by chance", "#bbbbbb"),
    "now": Look("if drafted now", "#E69F00", hatch="///"),
    "verified": Look("verified", "#0072B2", "s", "--", "\\\\\\"),
    "correct": Look("correct", "#009E73", "^", "-.", "..."),
}
GROUPS = {"risers": "Its probability rose", "most": "It rose the most"}
SWEEPS = {
    "tracked": replace(look("sjd-vp"), label="SJD-VP (exact)"),
    "untracked": Look("uncorrected (not exact)", "#882255"),
}


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """The rows of the study: shares by ``law``, ratios by size of the rise, speed-up by ``gamma``."""
    columns = ["kind", "law", "gamma", "from", "to", "mass", "value", "low", "high", "n"]
    frame = pd.DataFrame(result["rows"])[columns]
    numbers = frame.columns.difference(["kind", "law", "n"], sort=False)
    return frame.assign(**{name: pd.to_numeric(frame[name]) for name in numbers})


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """Shares, ratios, sweep."""
    return panels([["shares", "ratio", "gamma"]], (7.2, 3.3))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Bars with intervals; ratios on logarithmic axes; speed-up by gamma."""
    ax = axes["shares"]
    bars(ax, frame[frame["kind"].isin(list(GROUPS))], "kind", BARS, "law", order=list(GROUPS), capsize=0.15)
    ax.set_xticks(range(len(GROUPS)), ["probability\nrose", "rose\nthe most"])
    ax.set(xlabel="tokens", ylabel="positions where it is so (share)", ylim=(0, 1.12))
    ax.set_title("who wins")
    ax.legend(loc="upper right", fontsize=6.5, ncols=2, columnspacing=0.8, handlelength=1.4)
    _ratios(frame[frame["kind"] == "ratio"], axes["ratio"])
    ax = axes["gamma"]
    lines(ax, frame[frame["kind"].isin(list(SWEEPS))], "gamma", SWEEPS, "kind")
    ax.set(xlabel="strength γ (0: SJD)", ylabel="NFE speed-up over AR (times)", ylim=(0, None))
    ax.set_title("strength")
    ax.legend(loc="lower left", fontsize=7)
    put_letters(list(axes.values()))


def middles(rows: pd.DataFrame) -> pd.Series:
    """Where to draw a bin; an open one half a unit beyond its end."""
    low, high = rows["from"].fillna(rows["to"] - 2), rows["to"].fillna(rows["from"] + 2)
    return (low + high) / 2


def _ratios(rows: pd.DataFrame, ax: Axes) -> None:
    ax.axhline(1, color=INK, linewidth=1, linestyle=":", label="SJD (γ = 0)")
    rise = np.linspace(-1.2, 1.2, 3)
    ax.plot(rise, np.exp(rise), color=look("sjd-vp").color, linewidth=1.2, label="γ = 1")
    looks = {law: replace(BARS[law], label=law) for law in ("verified", "correct")}
    curves(ax, rows.assign(at=middles(rows)), "at", looks, "law", err_style="bars", markersize=4)
    ax.set(yscale="log", xlabel="rise ln(p$_t$ / p$_{t-1}$) (nats)", ylabel="token's frequency over p$_t$ (ratio)")
    ax.set_title("best tilt")
    ax.legend(loc="upper right", fontsize=7)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Both analyses with their intervals, and the sweep's ends."""

    def share(kind: str, law: str) -> str:
        return with_ends(next(frame[(frame["kind"] == kind) & (frame["law"] == law)].itertuples()), 3)

    parts = [
        f"{words}: verified {share(kind, 'verified')}, correct {share(kind, 'correct')}, by chance "
        f"{share(kind, 'chance')}, and {share(kind, 'now')} of drafts from p_t itself"
        for kind, words in GROUPS.items()
    ]
    ratio = frame[(frame["kind"] == "ratio") & (frame["law"] == "correct")].sort_values("from", na_position="first")
    up, down = ratio[ratio["from"] >= 1], ratio[ratio["to"] <= -1]
    mean_up, mean_down = (float((r["value"] * r["mass"]).sum() / r["mass"].sum()) for r in (up, down))
    sweep = frame[frame["kind"] == "tracked"].sort_values("gamma")
    said = [f"{with_ends(row)} at γ = {row.gamma:g}" for row in sweep.iloc[[0, -1]].itertuples()]
    many = f"{settings['num_traced']} and (c) {settings['num_sequences']} sequences"
    return (
        "A position over three passes of SJD, with laws p_(t-1), p_t, p_(t+1). (a) How often the verified token (law "
        "p_(t+1)) and the correct one (which the sequence ends with) is a token whose probability rose from p_(t-1) to "
        f"p_t, or the one that rose most; chance: a token of law p_(t-1). {'. '.join(parts)}. (b) How much more often "
        f"than p_t says a token is right, by its rise: {mean_up:.2f} where ln p rose by 1 or more, {mean_down:.2f} "
        "where it fell so much; a tilt of strength γ takes it for the rise to the power γ. (c) Speed-up by strength, "
        f"the tilt declared (exact): {' and '.join(said)}. 95% intervals over sequences. "
        f"{of_study(settings, many)}"
    )


SUMMARY = "whether tokens whose probability rose win, and speed-up by strength of SJD-VP"

FIGURE = Exhibit(
    compute,
    layout,
    draw,
    caption,
    result="vp_motivation",
    paper=(
        f"SJD-VP's abstract, all we know of it, reports that {STATEMENTS['verification prediction']}, and is faster "
        "for favouring such tokens; its formula, and so γ, is not on file."
    ),
)
