"""What an audit up to epsilon says of epsilon: within the ball, beyond it, and of the planted faults in bf16."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.conditions import Condition
from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.style import INK, Look, panels, put_letters
from studies.gallery.exhibit import Exhibit

LOOKS = {
    "one direction": Look("one direction", "#0072B2", "s"),
    "random directions": Look("random directions", "#E69F00", "o"),
    "rare contexts": Look("rare contexts", "#009E73", "^"),
}
ONE, OF_KIND = "as much along one direction", "the same decoder"
DODGE = 0.22
LEAST = 1e-3
"""Total variation at which faults stand that leave the law of a sequence as it is."""


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a share of crossings (part "within"), a ratio ("twice") and a fault ("faults")."""
    rows: list[dict[str, Any]] = []
    for row in result["within"]:
        for alpha, crossed in row["crossed"].items():
            rows.append({"part": "within", "kind": row["kind"], "x": float(alpha), "size": row["size"]}
                        | {"y": crossed, "count": row["audits"], "above": row["size_above_truth"]})  # fmt: skip
    for row in result["twice"]:
        for of, column in ((ONE, "ratio"), (OF_KIND, "ratio_of_kind")):
            rows.append({"part": "twice", "kind": row["kind"], "size": row["size"], "of": of, "y": row[column]})
    rows += [
        {"part": "faults", "kind": row["condition"], "x": row["total_variation"], "y": row["sequences"]}
        | {"refuted": row["outcome"] == "REFUTED", "named": row["named"] == row["condition"]}
        for row in result["rows"]
    ]
    return pd.DataFrame(rows)


def crossings(frame: pd.DataFrame) -> pd.DataFrame:
    """Audits whose ln E crossed, by kind and alpha, over all sizes; and how many there were."""
    rows = frame[frame["part"] == "within"]
    return rows.groupby(["kind", "x"], sort=False)[["y", "count", "above"]].sum().reset_index()


def of_faults(frame: pd.DataFrame) -> pd.DataFrame:
    """The planted faults, whose last two columns other rows do not have."""
    return frame[frame["part"] == "faults"].astype({"refuted": bool, "named": bool})


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """Three panels."""
    return panels([["within", "twice", "faults"]], (7.0, 2.9))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Shares against alpha; ratios by kind; sequences against the size of a fault."""
    _draw_within(crossings(frame), axes["within"])
    _draw_twice(frame[frame["part"] == "twice"], axes["twice"])
    _draw_faults(of_faults(frame), axes["faults"])
    put_letters(list(axes.values()))


def _draw_within(rows: pd.DataFrame, ax: Axes) -> None:
    alphas = np.sort(rows["x"].unique())
    ax.plot(alphas, alphas, color=INK, linewidth=1, label="alpha")
    none = 0.3 / rows["count"].max()  # where none crossed
    for kind, one in LOOKS.items():
        own = rows[rows["kind"] == kind]
        share = np.maximum(own["y"] / own["count"], none)
        ax.plot(own["x"], share, one.marker, color=one.color, label=one.label, markersize=5, markerfacecolor="none")
    ax.axhline(none, color=INK, linewidth=0.6, linestyle=":")
    ax.annotate("none", (alphas[0], none), textcoords="offset points", xytext=(0, 3), fontsize=7)
    ax.set(xscale="log", yscale="log", xlabel="alpha", ylabel="share of audits that cross")
    ax.legend(fontsize=6.5, loc="upper left")


def _draw_twice(rows: pd.DataFrame, ax: Axes) -> None:
    for i, kind in enumerate(LOOKS):
        for j, of in enumerate((ONE, OF_KIND)):
            own = rows[(rows["kind"] == kind) & (rows["of"] == of)]
            x = i + DODGE * (j - 0.5)
            face = LOOKS[kind].color if of == OF_KIND else "none"
            ax.plot([x] * len(own), own["y"], LOOKS[kind].marker, color=LOOKS[kind].color, markerfacecolor=face)
    ax.axhline(6, color=INK, linewidth=0.8, linestyle="--")
    ax.set(yscale="log", xticks=range(len(LOOKS)), ylabel="sequences, over those at epsilon = 0")
    ax.set_xticklabels([kind.replace(" ", "\n") for kind in LOOKS])
    ax.set_yticks([1, 2, 3, 6, 10, 20, 30], ["1", "2", "3", "6", "10", "20", "30"], minor=False)
    ax.set_yticks([], minor=True)


def _draw_faults(rows: pd.DataFrame, ax: Axes) -> None:
    for refuted, marker, label in ((True, "o", "refuted"), (False, "x", "not refuted")):
        own = rows[(rows["refuted"] == refuted) & (rows["x"] > LEAST)]
        ax.plot(own["x"], own["y"], marker, color=INK, markersize=4, markerfacecolor="none", label=label)
    right = rows[rows["x"] <= LEAST]  # the law of one sequence
    ax.plot(np.full(len(right), LEAST), right["y"], "<", color=INK, markersize=5, label="of several sequences")
    ax.axvline(0.03, color=INK, linewidth=0.8, linestyle="--")
    ax.set(xscale="log", yscale="log", xlabel="total variation of the fault", ylabel="sequences (traces)")
    ax.set_xlim(LEAST * 0.8, 1)
    ax.set_ylim(0.7, 2e5)
    ax.legend(fontsize=6.5, loc="upper right")


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Counts of crossings, ratios, and what was refuted and named."""
    counts = crossings(frame)
    every = counts.groupby("x")[["y", "count", "above"]].sum()
    crossed = ", ".join(f"{int(row.y)} at {alpha:g}" for alpha, row in every.iterrows())
    twice, faults = frame[frame["part"] == "twice"], of_faults(frame)
    ratios = "; ".join(
        f"{kind} {', '.join(f'{value:.1f}' for value in twice[(twice['kind'] == kind) & (twice['of'] == ONE)]['y'])}, "
        f"over the same decoder {', '.join(f'{v:.1f}' for v in _of_kind(twice, kind))}"
        for kind in LOOKS
    )
    large = faults[faults["x"] > 3 * settings["fault_epsilon"]]
    missed = faults[~(faults["refuted"] & faults["named"])]["kind"]
    rest = ", ".join(f"{(missed == one.value).sum()} of {one.value}" for one in Condition if one.value in set(missed))
    audits, above = int(every["count"].iloc[0]), int(every["above"].iloc[0])
    seen, named = (int(large[column].sum()) for column in ("refuted", "named"))
    seen_of_all, named_of_all = (int(faults[column].sum()) for column in ("refuted", "named"))
    return (
        f"(a) Decoders whose laws are off by epsilon, at epsilon: of {audits:,} audits of "
        f"{settings['within_sequences']} sequences ln E crossed ln(1/alpha) in {crossed}; the size that is told was "
        f"above the truth in {above}. (b) Decoders off by twice epsilon: sequences at epsilon over those at 0, open "
        f"against {ONE}, filled against {OF_KIND}: {ratios}. Means of {settings['repeats']} audits, off by .05 and .1; "
        f"the line is at 6. (c) The planted faults, recorded with laws in bf16, at epsilon = "
        f"{settings['fault_epsilon']:g}: of {len(large)} beyond a total variation of three times that, {seen} were "
        f"refuted and {named} named right; of all {len(faults)}, {seen_of_all} and {named_of_all}, in "
        f"{settings['fault_limit']:,} sequences at most (missed or named otherwise: {rest or 'none'}); one whose "
        "sequences share seeds, at the left edge, leaves the law of each as it is. Made by "
        f"`{settings['command']}`."
    )


def _of_kind(twice: pd.DataFrame, kind: str) -> list[float]:
    return list(twice[(twice["kind"] == kind) & (twice["of"] == OF_KIND)]["y"])


SUMMARY = "what an audit up to epsilon says of epsilon"

FIGURE = Exhibit(compute, layout, draw, caption, result="epsilon")
