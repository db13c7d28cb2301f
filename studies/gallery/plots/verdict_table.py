"""The verdict on every rule, as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.style import INK, panels
from studies.gallery.exhibit import Exhibit

COLUMNS = (
    ("rule", 0.0, "left"),
    ("verdict, tokens", 0.285, "left"),
    ("verdict, trace", 0.47, "left"),
    ("exact TV", 0.73, "right"),
    ("TV of marginals", 0.895, "right"),
    ("speed-up", 1.0, "right"),
)
WORDS = {"NOT_REFUTED": "not refuted", "REFUTED": "refuted", "INCONCLUSIVE": "inconclusive", "EXACT": "exact"}


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a rule."""
    columns = ("rule", "kind", "expected", "samples_outcome", "samples_sequences", "trace_outcome", "trace_sequences")
    more = ("trace_condition", "exact_total_variation", "digits_distance", "digits_low", "digits_high", "speedup")
    return pd.DataFrame([{name: row[name] for name in (*columns, *more)} for row in result["rows"]])


def as_expected(frame: pd.DataFrame) -> pd.Series:
    """Whether the trace's verdict and condition are the expected ones."""
    said = [
        f"{outcome}: {condition}" if condition else "NOT_REFUTED" if outcome != "REFUTED" else outcome
        for outcome, condition in zip(frame["trace_outcome"], frame["trace_condition"], strict=True)
    ]
    return frame["expected"] == pd.Series(said, index=frame.index)


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """A line a rule."""
    return panels([["main"]], (7.2, 0.6 + 0.165 * (len(frame) + 3)))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Text only; refuted rules in dark red, and marked."""
    ax = axes["main"]
    ax.set(xlim=(0, 1.0), ylim=(len(frame) + 2.4, -1))
    ax.axis("off")
    for name, x, side in COLUMNS:
        ax.text(x, -0.3, name, ha=side, va="center", fontsize=7, weight="bold", color=INK)
    line, kind, right = 0.7, "", as_expected(frame).tolist()
    for i, row in enumerate(frame.to_dict("records")):
        if row["kind"] != kind:
            kind = row["kind"]
            ax.axhline(line - 0.45, color=INK, linewidth=0.6)
        cells = (
            row["rule"],
            f"{WORDS[row['samples_outcome']]} ({row['samples_sequences']:,})",
            _traced(row) + ("" if right[i] else "  (!)"),
            f"{row['exact_total_variation']:.2g}" if row["exact_total_variation"] > 1e-9 else "0",
            f"{row['digits_distance']:.3f} ({row['digits_low']:.3f} to {row['digits_high']:.3f})",
            f"{row['speedup']:.2f}",
        )
        for (_, x, side), text in zip(COLUMNS, cells, strict=True):
            refuted = text.startswith("refuted")
            color, weight = ("#8B1A1A", "bold") if refuted else (INK, "normal")
            ax.text(x, line, text, ha=side, va="center", fontsize=6.5, color=color, weight=weight)
        line += 1


def _traced(row: Any) -> str:
    word = WORDS[row["trace_outcome"]]
    named = f": {row['trace_condition']}" if row["trace_condition"] else ""
    return f"{word}{named} ({row['trace_sequences']:,})"


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Counts."""
    kinds = frame["kind"].value_counts()
    right = int(as_expected(frame).sum())
    refuted = frame[frame["trace_outcome"] == "REFUTED"]["trace_sequences"]
    return (
        f"Verdicts on {kinds.get('method', 0)} lossless methods, {kinds.get('rival', 0)} rivals and "
        f"{kinds.get('fault', 0)} planted slips, on {settings['model']} "
        f"({settings['bits_per_token_held_out']:.2f} bits a token held out), window {settings['window']}, α = 10⁻⁶; in "
        f"brackets the sequences it took. Tokens: up to {settings['sequences']} sequences; traces: up to "
        f"{settings['traces']}, of which refuted rules took a median of {refuted.median():.0f}. Verdict and condition "
        f"are as expected for {right} of {len(frame)} rules. Exact TV: of the rule's law on a small model. TV of "
        "marginals: mean over positions, in excess of two right samples', with a 95% bootstrap interval. Speed-up: 64 "
        f"over mean passes. Made by `{settings['command']}`."
    )


SUMMARY = "the audit's verdict on every rule, with distances and speed"

FIGURE = Exhibit(compute, layout, draw, caption, result="verdict_table")
