"""How far laws drift in fewer bits, speculation on and off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.audit.drift import DELTA
from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.style import look, panels, put_letters
from studies.gallery.exhibit import Exhibit

PRECISIONS = ("float32", "fp16", "bf16")
METHODS = ("ar", "sjd", "scd-mc", "scd-gs")
WINDOW = 16
DODGE = 0.16
STALE = "stale-cache"


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a model, precision, method, window and batch: mean drift, its lower bound and quantiles."""
    names = ["model", "precision", "method", "window", "batch", "mean", "low", "q0.5", "q0.99", "largest", "count"]
    names += ["passes"]
    return pd.DataFrame([[row[name] for name in names] for row in result["rows"]], columns=names)


def shown(frame: pd.DataFrame, model: str, method: str) -> pd.DataFrame:
    """What the panel of a model has of a method, a row a precision: the main window, the largest batch."""
    rows = frame[(frame["model"] == model) & (frame["method"] == method) & frame["window"].isin((0, WINDOW))]
    rows = rows[rows["batch"] == rows["batch"].max()]
    return rows.set_index("precision").loc[list(PRECISIONS)]


def _refuted(frame: pd.DataFrame, model: str, precision: str) -> str:
    low = {method: shown(frame, model, method)["low"][precision] for method in METHODS}
    return f"{precision} {low['ar']:.2g} and {max(low[method] for method in METHODS[1:]):.2g}"


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel a model."""
    return panels([list(frame["model"].unique())], (7.2, 2.9), sharey=True)


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Means, with a line up to what 99% of the positions stay below, and a bar at the epsilon that is refuted."""
    for model, ax in axes.items():
        for i, method in enumerate(METHODS):
            rows, one = shown(frame, model, method), look(method)
            x = np.arange(len(PRECISIONS)) + DODGE * (i - (len(METHODS) - 1) / 2)
            ax.vlines(x, rows["mean"], rows["q0.99"], color=one.color, linewidth=1)
            ax.plot(x, rows["low"], "_", color=one.color, markersize=6)
            ax.plot(x, rows["mean"], one.marker, color=one.color, label=one.label, markersize=4)
        ax.set(yscale="log", title=model)
        ax.set_xticks(range(len(PRECISIONS)), PRECISIONS, fontsize=7)
        ax.set_xlim(-0.5, len(PRECISIONS) - 0.5)
    first = next(iter(axes.values()))
    first.set_ylabel("drift of a law (total variation)")
    first.legend(loc="upper left", fontsize=7)
    put_letters(list(axes.values()))


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Means by precision, ancestral beside the largest of the speculative ones, and what window and batch change."""
    parts, refuted = [], []
    for model in frame["model"].unique():
        means = {method: shown(frame, model, method)["mean"] for method in METHODS}
        said = [
            f"{precision} {means['ar'][precision]:.2g} and {max(means[m][precision] for m in METHODS[1:]):.2g}"
            for precision in PRECISIONS
        ]
        parts.append(f"{model} {', '.join(said)}")
        refuted.append(f"{model} {', '.join(_refuted(frame, model, precision) for precision in PRECISIONS)}")
    others = frame[(frame["model"] == "digits") & (frame["precision"] == "bf16") & (frame["method"] != "ar")]
    windows = ", ".join(str(w) for w in sorted(others["window"].unique()))
    batches, least, most = others["batch"].max(), others["mean"].min(), others["mean"].max()
    right = [row for row in settings["audits"] if row["method"] != STALE]
    wrong = [row for row in settings["audits"] if row["method"] == STALE]
    stand = sum(row["outcome"] == "NOT_REFUTED" for row in right)
    found = sum(row["named"] == "target" for row in wrong)
    seconds = "; ".join(
        f"{row['model']} {', '.join(f'{precision} {row[precision]:.2g}' for precision in PRECISIONS[1:])}"
        for row in settings["seconds"]
    )
    counts = ", ".join(f"{count} sequences of {model}" for model, count in settings["sequences"].items())
    return (
        "Total variation between the law that a decoder used at a position and the model's in float64, given the "
        "finished sequence: means, lines up to what 99% of the positions stay below, and bars at the largest epsilon "
        f"that is refuted for the mean, at all times together with confidence {1 - DELTA / 2:g}. Weights and "
        "activations are in the precision named, laws and variates in float32. Ancestral decoding, one position a "
        f"pass, is the control. Means, ancestral and the largest of the speculative: {'; '.join(parts)}. Refuted "
        f"epsilon, ancestral and the largest of the speculative: {'; '.join(refuted)}. On digits in bf16, windows "
        f"of {windows} and batches of 1 or {batches} sequences have means from {least:.2g} to {most:.2g}. Audited at "
        f"the control's largest drift, {stand} of {len(right)} traces of lossless methods in half precision are not "
        f"refuted, and {found} of {len(wrong)} of a cache that keeps rejected drafts are, the target named. {counts}, "
        f"on the CPU (Llama and Janus with random weights), where a pass takes, over float32, {seconds}; window "
        f"{WINDOW}; seed {settings['seed']}. Made by `{settings['command']}`."
    )


SUMMARY = "how lossless is lossless: drift of laws in half precision"

FIGURE = Exhibit(compute, layout, draw, caption, result="drift")
