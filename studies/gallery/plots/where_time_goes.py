"""Where the time of a decode goes, and what recording adds."""

from __future__ import annotations

from typing import Any

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.style import look, panels
from studies.gallery.exhibit import Exhibit

PARTS = {
    "model": ("model", "#0072B2", ""),
    "verify": ("verification", "#E69F00", "///"),
    "draft": ("drafting", "#009E73", "..."),
    "rest": ("bookkeeping", "#999999", ""),
    "record_scalars": ("recording scalars", "#CC79A7", "\\\\\\"),
    "record_laws": ("recording laws", "#56B4E9", "xx"),
}
"""Label, colour and hatch; the last two are on top of a decode that records nothing."""


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a decode and part (``share`` of the time without recording); other rows of the study have no part."""
    rows = []
    for r in result["rows"]:
        place = [r["kind"], r["method"], r["window"], r["batch"]]
        if not r["kind"].startswith("parts"):
            rows.append([*place, "", None])
            continue
        shares = {part: r[part] for part in PARTS}
        shares["record_laws"] = max(shares["record_laws"] - shares["record_scalars"], 0)  # beyond its scalars
        rows += [[*place, part, share] for part, share in shares.items()]
    return pd.DataFrame(rows, columns=["kind", "method", "window", "batch", "part", "share"])


def decodes(frame: pd.DataFrame) -> list[str]:
    """Kinds of decodes that were split."""
    return list(dict.fromkeys(frame.loc[frame["part"] != "", "kind"]))


def shares(frame: pd.DataFrame, kind: str) -> str:
    """Of the parts of a decode that records nothing, in words."""
    return ", ".join(f"{label} {_share(frame, kind, part):.1%}" for part, (label, *_) in list(PARTS.items())[:4])


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """One panel."""
    return panels([["main"]], (6.8, 2.4))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """One bar a decode, its parts in a row."""
    ax, parts = axes["main"], [label for label, *_ in PARTS.values()]
    rows = frame[frame["part"] != ""]
    rows = rows.assign(
        decode=rows["kind"].str.removeprefix("parts, "),
        part=rows["part"].map({part: label for part, (label, *_) in PARTS.items()}),
        percent=100 * rows["share"],
    )
    colors = {label: color for label, color, _ in PARTS.values()}
    seaborn.histplot(rows, y="decode", weights="percent", hue="part", hue_order=parts[::-1], palette=colors, ax=ax,
                     multiple="stack", shrink=0.6, edgecolor="black", linewidth=0.5, alpha=1)  # fmt: skip
    legend = ax.get_legend()
    assert legend is not None
    bars = dict(zip(parts, [container[0] for container in ax.containers], strict=True))
    for container, (*_, hatch) in zip(ax.containers, PARTS.values(), strict=True):
        for bar in container:
            bar.set_hatch(hatch)
    legend.remove()
    ax.axvline(100, color="black", linewidth=1)
    ax.set(xlabel="time, % of a decode that records nothing", ylabel="")
    ax.figure.legend(bars.values(), bars.keys(), loc="outside upper center", ncols=6, fontsize=7, handlelength=1.2,
                     columnspacing=1)  # fmt: skip


def _share(frame: pd.DataFrame, kind: str, part: str) -> float:
    return float(frame.loc[(frame["kind"] == kind) & (frame["part"] == part), "share"].sum())


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Shares of the first decode, and what recording adds to each."""
    kinds = decodes(frame)
    added = "; ".join(
        f"{kind.removeprefix('parts, ')}: scalars {_share(frame, kind, 'record_scalars'):+.1%}, laws and scalars "
        f"{_share(frame, kind, 'record_scalars') + _share(frame, kind, 'record_laws'):+.1%}"
        for kind in kinds
    )
    row = frame[frame["part"] != ""].iloc[0]
    return (
        f"Time of {look(row['method']).label} at window {row['window']} on a batch of {row['batch']}, medians over "
        f"{settings['rounds']} rounds; to the right of the line, what recording to disk adds. Without recording, "
        f"{kinds[0].removeprefix('parts, ')}: {shares(frame, kinds[0])}. Recording adds, {added}. "
        f"Model {settings['model']}, {settings['threads']} threads. Made by `{settings['command']}`."
    )


SUMMARY = "where the time of a decode goes"

FIGURE = Exhibit(compute, layout, draw, caption, result="bench_decode")
