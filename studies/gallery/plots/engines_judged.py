"""What released engines sample, by engine, mode and settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.style import INK, panels
from scd_analysis.figures.words import listed
from studies.engines.engine import control_of
from studies.gallery.exhibit import Exhibit

FACES = {
    "NOT_REFUTED": ("not refuted", "#d9ecf7", ""),
    "REFUTED": ("refuted", "#D55E00", ""),
    "INCONCLUSIVE": ("inconclusive", "#f0f0f0", "..."),
    "RAISED": ("ended with an error", "#bdbdbd", "///"),
}
ROW, WIDTH = 0.27, 7.0


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a cell: engine, version, mode, draft, settings, the outcome, sequences, and the outcome of the pair."""
    names = ["engine", "version", "mode", "draft", "sampling", "outcome"]
    return pd.DataFrame(
        [
            {name: row[name] for name in names}
            | {"sequences": row.get("sequences", 0), "pair": row.get("pair", ""), "cause": row.get("cause", "")}
            for row in result["rows"]
        ]
    )


def arms(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Engine, mode and draft of every line, in the order of the result."""
    return list(dict.fromkeys(frame[["engine", "mode", "draft"]].itertuples(index=False, name=None)))


def settings_of(frame: pd.DataFrame, engine: str) -> list[str]:
    """Names of the settings of an engine, a column each."""
    return list(dict.fromkeys(frame[frame["engine"] == engine]["sampling"]))


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel an engine, as high as it has modes."""
    lines = pd.DataFrame(arms(frame), columns=["engine", "mode", "draft"])["engine"].value_counts(sort=False)
    height = ROW * len(arms(frame)) + 1.0 * len(lines)
    return panels([[name] for name in lines.index], (WIDTH, height), height_ratios=list(lines + 2))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """A cell each: the outcome by colour, and the sequences that it took."""
    for engine, ax in axes.items():
        own = frame[frame["engine"] == engine]
        lines, columns = [arm for arm in arms(frame) if arm[0] == engine], settings_of(frame, engine)
        for row in own.to_dict("records"):
            _cell(ax, columns.index(row["sampling"]), lines.index((engine, row["mode"], row["draft"])), row)
        ax.set_xlim(-0.5, len(columns) - 0.5)
        ax.set_ylim(len(lines) - 0.5, -0.5)
        ax.set_xticks(np.arange(len(columns)), [column.replace(", ", ",\n", 1) for column in columns], fontsize=6.5)
        ax.set_yticks(np.arange(len(lines)), [_arm(mode, draft) for _, mode, draft in lines], fontsize=7)
        ax.set_title(f"{engine} ({own['version'].iloc[0]})")
        ax.grid(False)
        ax.tick_params(length=0)
    first = next(iter(axes.values()))
    used = [face for name, face in FACES.items() if name in set(frame["outcome"])]
    handles = [Rectangle((0, 0), 1, 1, facecolor=color, hatch=hatch, edgecolor=INK) for _, color, hatch in used]
    first.legend(handles, [label for label, _, _ in used], fontsize=6.5, loc="lower right", ncols=len(used),
                 bbox_to_anchor=(1, 1.09))  # fmt: skip


def _cell(ax: Axes, x: int, y: int, row: dict[Any, Any]) -> None:
    _, color, hatch = FACES[row["outcome"]]
    ax.add_patch(
        Rectangle((x - 0.48, y - 0.44), 0.96, 0.88, facecolor=color, hatch=hatch, edgecolor=INK, linewidth=0.4)
    )
    ink = "white" if row["outcome"] == "REFUTED" else INK
    said = f"{row['sequences']:,}" if row["sequences"] else ""
    ax.text(x, y, said, ha="center", va="center", fontsize=6.5, color=ink)


def _arm(mode: str, draft: str) -> str:
    return f"{mode} ({draft})" if draft else mode


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """How many cells of each engine are refuted, off and on, and by what."""
    parts = []
    for engine, own in frame.groupby("engine", sort=False):
        is_control = own["mode"] == own["mode"].map(control_of)
        off, on = own[is_control], own[~is_control]
        refuted = on[on["outcome"] == "REFUTED"]
        said = f"{engine} {(off['outcome'] == 'REFUTED').sum()} of {len(off)} off, {len(refuted)} of {len(on)} on"
        if len(refuted):
            said += f", after {refuted['sequences'].max():,.0f} sequences at most"
            said += f" ({listed(sorted(set(map(_arm, refuted['mode'], refuted['draft']))))})"
        parts.append(said)
    versions = listed(dict.fromkeys(frame["version"]))
    return (
        "Engines asked for a tiny random Llama's tokens and judged against its law in float64: by mode and draft "
        "(lines) and settings (columns), with the number of sequences after which the audit ended, at alpha 1e-6. "
        f"Refuted: {'; '.join(parts)}. {versions}; {settings['num_tokens']} tokens a sequence. "
        f"Made by `{settings['command']}`."
    )


SUMMARY = "released engines, judged: speculation off and on"

FIGURE = Exhibit(compute, layout, draw, caption, result="audit_engines")
