"""Speed-up and entropy of the law along a setting of it: what the sweeps of guidance and of each processor share."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import lines
from scd_analysis.figures.style import INK, panels, put_letters
from scd_analysis.figures.words import by_method, methods, with_ends
from studies.gallery.exhibit import Exhibit
from studies.gallery.results import of_study

COLUMNS = ("method", "setting", "kind", "value", "low", "high", "n")


def long_rows(result: dict[str, Any], setting: str) -> pd.DataFrame:
    """Two rows a method and setting: ``kind`` is ``"speedup"``, or ``"entropy"`` of the law at commit, in nats."""
    rows = [
        (r["method"], float(r[setting]), kind, r[kind], r[f"{kind}_low"], r[f"{kind}_high"], r["n"])
        for r in result["rows"]
        for kind in ("speedup", "entropy")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """Speed-up, then entropy."""
    return panels([["speedup", "entropy"]], (7.0, 3.3), width_ratios=[1.4, 1])


def draw(frame: pd.DataFrame, axes: Panels, label: str, *, log: bool) -> None:
    """A line a method, a little apart; one sampled law, so one entropy, whatever the method."""
    ticks = sorted(frame["setting"].unique())
    for kind, ax in axes.items():
        lines(ax, frame[frame["kind"] == kind], "setting", log_scale=(log, None))
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=7.5)
        ax.minorticks_off()
        ax.set(xlabel=label, ylim=(0, None))
    axes["speedup"].axhline(1, color=INK, linestyle=":", linewidth=1)
    axes["speedup"].set_ylabel("NFE speed-up over AR (times)")
    axes["entropy"].set_ylabel("entropy of the law at commit (nats)")
    axes["speedup"].set_title("speed-up")
    axes["entropy"].set_title("entropy")
    axes["speedup"].legend(loc="best")
    put_letters([axes["speedup"], axes["entropy"]])


def ends(frame: pd.DataFrame) -> tuple[str, str]:
    """Speed-up at either end and at the greatest by method, and the entropy at either end, in words."""
    parts = {}
    for method in methods(frame):
        rows = frame[(frame["method"] == method) & (frame["kind"] == "speedup")].sort_values("setting")
        said = [f"{with_ends(row)} at {row.setting:g}" for row in rows.iloc[[0, -1]].itertuples()]
        at = int(rows["value"].to_numpy().argmax())
        top = rows.iloc[at]
        best = "" if at in (0, len(rows) - 1) else f" (most: {top['value']:.2f} at {top['setting']:g})"
        parts[method] = f"{' and '.join(said)}{best}"
    entropy = frame[frame["kind"] == "entropy"].groupby("setting")["value"].mean()
    first, last = entropy.index[0], entropy.index[-1]
    law = f"{entropy.iloc[0]:.2f} nats at {first:g} and {entropy.iloc[-1]:.2f} at {last:g}"
    return "; ".join(by_method({method: text}) for method, text in parts.items()), law


def gaps(frame: pd.DataFrame) -> str:
    """How many times faster than SJD the couplings are, at either end of the sweep, in words."""
    wide = frame[frame["kind"] == "speedup"].pivot(index="setting", columns="method", values="value").sort_index()
    coupled = [method for method in methods(frame) if method != "sjd"]
    over = wide[coupled].div(wide["sjd"], axis=0).iloc[[0, -1]]
    said = {m: " and ".join(f"{over[m].loc[at]:.2f} times at {at:g}" for at in over.index) for m in coupled}
    return "; ".join(by_method({method: text}) for method, text in said.items())


def of_processor(
    what: str, result: str, column: str, label: str, note: str, *, log: bool = False, paper: str = ""
) -> Exhibit:
    """The figure of the sweep of one logit processor.

    Parameters
    ----------
    what : str
        Whose sweep: "temperature", "the k of top-k sampling".
    result, column : str
        The study, and the setting's name in its rows.
    label : str
        Of the horizontal axis.
    note : str
        A sentence on settings that a reader knows.
    log : bool
        Whether the axis is logarithmic.
    paper : str
        See :class:`studies.gallery.exhibit.Exhibit`.
    """

    def compute(found: dict[str, Any]) -> pd.DataFrame:
        return long_rows(found, column)

    def marks(frame: pd.DataFrame, axes: Panels) -> None:
        draw(frame, axes, label, log=log)

    def caption(frame: pd.DataFrame, settings: Settings) -> str:
        said, law = ends(frame)
        each = f"{settings['num_sequences']} sequences a point"
        return (
            f"(a) Speed-up in passes by {what}, with 95% intervals over sequences: {said}. Over SJD: {gaps(frame)}. "
            f"{note} The processor belongs to the target law, so every setting is another law, sampled without loss; "
            f"(b) its entropy: {law}. {of_study(settings, each)}"
        )

    return Exhibit(compute, layout, marks, caption, result=result, paper=paper)
