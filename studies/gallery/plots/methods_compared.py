"""Speed-up against distance from the target law, by method: lossless ones, and rivals that are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.style import INK, Look, look, panels, put_letters
from scd_analysis.figures.words import by_method, with_ends
from studies.gallery.exhibit import Exhibit
from studies.gallery.reported import LUMINA
from studies.gallery.results import of_study

KINDS = {
    "exact": "exact TV of the law, small model",
    "excess_bits": "excess surprise (bits a token)",
    "usage": "excess TV of codebook usage",
}
LOSSY_MARKERS = "PX*<>phdH8"
NAMES = {
    "sjd-vp-uncorrected": "SJD-VP, uncorrected",
    "grouped-acceptance": "GSD",
    "neighbour-relaxation": "LANTERN",
    "sjd-plus-plus": "SJD++",
    "suffix-test": "SJD-SV",
    "longest-branch": "PathExplore",
    "relaxed-schedule": "COOL-SD",
}
"""Whose rule each is after; see ``reference.broken`` for how well it is known to us."""

COLUMNS = ("method", "lossless", "kind", "value", "low", "high", "speedup", "speedup_low", "speedup_high", "n")


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """Rows of four kinds a method, each with its speed-up.

    ``exact``: total variation of the law on the small model, with no statistical error. ``excess_bits``: surprise under
    the target less the target's entropy, bits a token. ``usage``: total variation of codebook usage, in excess of two
    right samples'. ``bits``: the surprise itself.
    """
    rows = []
    for r in result["rows"]:
        speed = (r["speedup"], r["speedup_low"], r["speedup_high"], r["n"])
        exact = max(r["exact_total_variation"], 0.0)
        rows.append((r["method"], r["lossless"], "exact", exact if exact > 1e-9 else 0.0, None, None, *speed))
        rows += [
            (r["method"], r["lossless"], kind, r[kind], r[f"{kind}_low"], r[f"{kind}_high"], *speed)
            for kind in ("excess_bits", "usage", "bits")
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def looks(frame: pd.DataFrame) -> dict[str, Look]:
    """Lossless methods as everywhere; the others in dark red, a marker each."""
    out, markers = {}, iter(LOSSY_MARKERS)
    for row in frame.drop_duplicates("method").itertuples():
        name = str(row.method)
        out[name] = look(name) if row.lossless else Look(label_of(name), "#882255", next(markers), "", "")
    return out


def label_of(method: str) -> str:
    """As the papers call it, where it is a paper's."""
    return NAMES.get(method, look(method).label)


def alike(frame: pd.DataFrame, first: str, second: str) -> bool:
    """Whether two methods are there and every number of theirs is the same."""
    pair = [frame[frame["method"] == name].drop(columns="method").reset_index(drop=True) for name in (first, second)]
    return len(pair[0]) > 0 and pair[0].equals(pair[1])


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """A panel a distance."""
    return panels([list(KINDS)], (7.2, 4.1), sharey=True)


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """A point a method, with both intervals; no distortion is the line at zero."""
    styles = looks(frame)
    for kind, label in KINDS.items():
        ax = axes[kind]
        ax.axvline(0, color=INK, linewidth=0.8, linestyle="--")
        for row in frame[frame["kind"] == kind].to_dict("records"):
            style, at, speed = styles[row["method"]], row["value"], row["speedup"]
            across = None if np.isnan(row["low"]) else [[at - row["low"]], [row["high"] - at]]
            up = [[speed - row["speedup_low"]], [row["speedup_high"] - speed]]
            ax.errorbar(
                at,
                speed,
                yerr=up,
                xerr=across,
                color=style.color,
                marker=style.marker,
                linestyle="",
                markersize=6.5,
                markeredgecolor="black",
                markeredgewidth=0.5,
                elinewidth=0.8,
                capsize=1.5,
                label=style.drawn,
            )
        ax.set_xlabel(label)
    axes["exact"].set_ylim(bottom=0)
    axes["exact"].set_ylabel("NFE speed-up over AR (times)")
    for ax, title in zip(axes.values(), ("law", "surprise", "codebook"), strict=True):
        ax.set_title(title)
    put_letters(list(axes.values()))
    handles, labels = axes["exact"].get_legend_handles_labels()
    canvas = axes["exact"].get_figure()
    assert canvas is not None
    canvas.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=7.5)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Lossless methods together, every rival by itself."""
    wide = {kind: rows.set_index("method") for kind, rows in frame.groupby("kind", sort=False)}
    lossless = wide["exact"].index[wide["exact"]["lossless"].astype(bool)]
    fast = by_method({name: f"{wide['exact']['speedup'][name]:.2f}" for name in lossless})
    inside = sum(bool(wide["excess_bits"]["low"][n] <= 0 <= wide["excess_bits"]["high"][n]) for n in lossless)
    rivals = []
    for name in wide["exact"].index.difference(lossless, sort=False):
        bits, used = (with_ends(next(wide[kind].loc[[name]].itertuples())) for kind in ("excess_bits", "usage"))
        rivals.append(
            f"{label_of(name)} {wide['exact']['speedup'][name]:.2f} times, {wide['exact']['value'][name]:.3f}, "
            f"{bits} bits, {used}"
        )
    lowest, highest = (float(wide["bits"].loc[lossless, "value"].agg(which)) for which in ("min", "max"))
    small = settings["small_model"]
    twins = " SJD-PAC is SCD-MC here, number for number." if alike(frame, "scd-mc", "sjd-pac") else ""
    fidelity = (
        f"{inside} of {len(lossless)} intervals of (b) hold 0; their tokens cost {lowest:.2f} to {highest:.2f} bits"
    )
    return (
        "Speed-up in passes against distance from the target law: (a) total variation of the exact law on a small "
        f"model ({small['num_tokens']} tokens, vocabulary {small['vocab_size']}, window {small['window']}); (b) bits a "
        "token under the target in excess of its entropy, zero on average for a lossless method; (c) total variation "
        "of pooled codebook usage in excess of two right samples', with 95% intervals over sequences. Lossless: "
        f"{fast} times, exact law at distance 0 for all, {fidelity}.{twins} Not lossless, after rules of other papers "
        f"as far as we know them (speed-up, (a), (b), (c)): {'; '.join(rivals)}. "
        f"{of_study(settings, str(settings['num_sequences']) + ' sequences a method')}"
    )


_GSD = LUMINA.row("gsd")
SUMMARY = "speed-up against distance from the target law, lossless methods and rivals"

FIGURE = Exhibit(
    compute,
    layout,
    draw,
    caption,
    result="methods_compared",
    paper=(
        f"The SCD paper compares by FID on {LUMINA.model}: AR {LUMINA.row('ar').quality}, SJD "
        f"{LUMINA.row('sjd').quality}, SCD-MC {LUMINA.row('scd-mc').quality}, SCD-GS "
        f"{LUMINA.row('scd-gs').quality:.2f}, and lossy GSD {_GSD.quality} at {_GSD.speedup} times."
    ),
)
