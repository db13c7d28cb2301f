"""The figures of a report: each is computed as a frame, drawn from it, and shown with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from scd_analysis.audit.verdict import Verdict, size_in_words
from scd_analysis.errors import InputError
from scd_analysis.figures.base import Run
from scd_analysis.figures.foreign import has
from scd_analysis.figures.redrafts import Redrafts, rate, redrafts
from scd_analysis.figures.style import INK
from scd_analysis.report.markup import Markup
from scd_analysis.report.svg import BLUE, GREEN, ORANGE, PAPER, PURPLE, RED, chart, inline
from scd_analysis.report.words import count, nats, number
from scd_analysis.trace import trajectories

RARE = 20
"""Drafts or redrafts below which a share is not shown."""

MOST_POINTS = 400
"""Of a line; more positions are averaged in groups, which a chart of this width cannot tell apart anyway."""

_DOTS: dict[str, Any] = {"color": INK, "marker": "o", "linestyle": "", "markersize": 4.5, "markerfacecolor": PAPER}


@dataclass(frozen=True)
class Chart:
    """A figure of the page.

    Attributes
    ----------
    title, caption : str
        Above it and below it.
    svg : Markup or None
        None where the trace does not hold what it takes; the caption says so.
    frame : DataFrame
        What is drawn.
    """

    title: str
    caption: str
    svg: Markup | None
    frame: pd.DataFrame


def _absent(title: str, why: str) -> Chart:
    return Chart(title, f"Nothing to show: {why}.", None, pd.DataFrame())


def evidence(verdict: Verdict) -> Chart:
    """Evidence: ln E over the number of sequences, with the line that refutes."""
    threshold = math.log(1 / verdict.alpha)
    path = [(0, 0.0), *verdict.path]
    frame = pd.DataFrame(path, columns=["sequences", "ln E"])
    finite = frame[np.isfinite(frame["ln E"])]
    impossible = frame["sequences"][np.isinf(frame["ln E"])]
    with chart() as (canvas, ax):
        ax.plot(finite["sequences"], finite["ln E"], color=BLUE, marker="." if len(finite) < 40 else "", label="ln E")
        ax.axhline(threshold, color=RED, linestyle="--", linewidth=1.4, label=f"ln(1/α) = {nats(threshold)}: refuted")
        if len(impossible):
            ax.axvline(int(impossible.iloc[0]), color=BLUE, linestyle=":", label="ln E = ∞: something impossible")
        lowest, highest = float(finite["ln E"].min()), max(float(finite["ln E"].max()), threshold)
        margin = 0.06 * (highest - lowest)
        ax.set(xlabel="sequences", ylabel="ln E (nats)", ylim=(lowest - margin, highest + 3 * margin), xlim=(0, None))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.legend(loc="best")
        ended = f"After {count(verdict.num_sequences, 'sequence')} ln E is {nats(verdict.log_e_value)}"
        svg = inline(canvas, "evidence", "ln E over sequences", f"{ended}; the threshold is {nats(threshold)}.")
    caption = (
        f"The audit's evidence: the logarithm of the wealth of bets against the subject. {ended}; the audit refutes "
        f"from ln(1/α) = {nats(threshold)} on. For a lossless subject the line ever crosses it with probability at "
        "most α."
    )
    return Chart("ln E over time", caption, svg, frame)


def size(verdict: Verdict) -> Chart:
    """Evidence against balls around the target's laws, over their radius."""
    threshold = math.log(1 / verdict.alpha)
    frame = pd.DataFrame(verdict.log_e_by_epsilon, columns=["epsilon", "ln E"])
    with chart() as (canvas, ax):
        seaborn.lineplot(frame, x="epsilon", y="ln E", color=BLUE, marker="o", ax=ax, label="ln E, at its largest")
        ax.axhline(threshold, color=RED, linestyle="--", linewidth=1.4, label=f"ln(1/α) = {nats(threshold)}: refuted")
        if verdict.epsilon:
            ax.axvline(verdict.epsilon, color=INK, linestyle=":", label=f"epsilon = {number(verdict.epsilon)}: asked")
        ax.set(xscale="log", xlabel="epsilon (total variation of a token's law)", ylabel="ln E (nats)")
        ax.legend(loc="best")
        words = size_in_words(verdict)
        svg = inline(canvas, "size", "ln E against epsilon", f"{words[0].upper()}{words[1:]}.")
    caption = (
        "The logarithm of the wealth of bets against every law of a token lying within epsilon of the target's, at its "
        f"largest, by epsilon: {words}. Refuted counts with all smaller ones alone."
    )
    return Chart("ln E against epsilon", caption, svg, frame)


def acceptance(run: Run) -> Chart:
    """Accepted drafts by their age: measured, and as the laws say."""
    title, sums = "Acceptance by age", np.zeros((3, run.trace.sizes["iteration"] + 1))
    for part in trajectories.read(run.trace, ("age", "accepted", "total_variation"), 16):
        known = ~np.isnan(part["age"] + part["accepted"])
        age = part["age"][known].astype(np.int64)
        for row, name in enumerate(("age", "accepted", "total_variation")):
            weight = part[name][known] if row else np.ones(len(age))
            sums[row] += np.bincount(age, weight, minlength=sums.shape[1])
    drafts, accepted, variation = sums
    ages = np.flatnonzero(drafts >= RARE)
    with np.errstate(invalid="ignore"):
        columns = {
            "age": ages,
            "drafts": drafts[ages].astype(int),
            "accepted": (accepted / np.maximum(drafts, 1))[ages],
        }
        frame = pd.DataFrame(columns | {"1 - TV": 1 - (variation / np.maximum(drafts, 1))[ages]})
    if frame.empty:
        return _absent(title, f"fewer than {RARE} drafts were verified at every age")
    with chart() as (canvas, ax):
        if frame["1 - TV"].notna().any():
            ax.plot(frame["age"], frame["1 - TV"], color=BLUE, label="1 − TV: what the laws say")
        ax.plot(frame["age"], frame["accepted"], label="share accepted", **_DOTS)
        ax.set(xlabel="age (passes since the position entered the window)", ylabel="acceptance", ylim=(0, 1.02))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="best")
        every = number(float(accepted.sum() / drafts.sum()))
        described = f"{every} of all drafts are accepted."
        svg = inline(canvas, "acceptance", title, described)
    caption = (
        f"Share of drafts that verification accepts, each taken alone, by age; 0 is the initial draft. {described} "
        "In a lossless decoder the share follows 1 − TV, TV the total variation between draft law and target law."
    )
    return Chart(title, caption, svg, frame)


def collision(run: Run) -> Chart:
    """Redrafts that kept their token, against the total variation of the two laws and the three predictions."""
    title = "Collisions against total variation"
    needed = ("total_variation", "collision_independent", "collision_gumbel")
    if not all(has(run.trace, name) for name in needed):
        return _absent(title, "the trace does not hold what the laws say of collisions")
    try:
        every = redrafts(run)
    except InputError as error:
        return _absent(title, str(error))
    frame = _by_variation(every)
    if frame.empty:
        return _absent(title, f"no bin of total variation holds {RARE} redrafts")
    with chart() as (canvas, ax):
        for name, color, line in (("maximal", BLUE, "-"), ("gumbel", GREEN, "-."), ("independent", ORANGE, "--")):
            label = name.capitalize() if name == "gumbel" else name
            ax.plot(frame["total variation"], frame[name], color=color, linestyle=line, label=f"predicted, {label}")
        _intervals(ax, frame, "total variation", "kept", "measured, 95%")
        ax.set(xlabel="total variation of the two laws", ylabel="redrafts that kept their token")
        ax.set(xlim=(0, 1), ylim=(0, 1.02))
        ax.legend(loc="best")
        described = f"{number(float(every.kept.mean()))} of {len(every.kept):,} redrafts kept their token."
        svg = inline(canvas, "collision", title, described)
    caption = (
        f"{described} By the total variation of the old and the new law, with 95% intervals over sequences, beside the "
        "collision probability of independent drafts, of shared Gumbel noise, and of the maximal coupling (1 − TV), "
        "which no coupling can exceed."
    )
    return Chart(title, caption, svg, frame)


def _by_variation(every: Redrafts) -> pd.DataFrame:
    """Share of redrafts that kept their token, and its predictions, in tenths of total variation."""
    rows = []
    tenth = np.minimum(np.nan_to_num(every.total_variation * 10, nan=-1).astype(int), 9)
    for which in range(10):
        here = tenth == which
        if here.sum() >= RARE:
            kept = rate(every.kept[here], every.sequence[here])
            row = {"total variation": float(every.total_variation[here].mean()), "redrafts": kept.n}
            row |= {"kept": kept.value, "low": kept.low, "high": kept.high}
            rows.append(row | {name: float(values[here].mean()) for name, values in every.predicted.items()})
    return pd.DataFrame(rows)


def _intervals(ax: Axes, frame: pd.DataFrame, x: str, y: str, label: str) -> None:
    low, high = (frame[name].fillna(frame[y]) for name in ("low", "high"))
    ends: npt.NDArray[np.float64] = np.array([frame[y] - low, high - frame[y]]).clip(0)
    ax.errorbar(frame[x], frame[y], yerr=ends, label=label, capsize=2, elinewidth=1, **_DOTS)


def variation(frame: pd.DataFrame) -> Chart:
    """Total variation and rejections by position; ``frame`` is that of :mod:`scd_analysis.report.worst`."""
    title = "Total variation by position"
    if frame.empty:
        return _absent(title, "no draft was committed on")
    together = -(-len(frame) // MOST_POINTS)
    shown = frame if together == 1 else frame.groupby(np.arange(len(frame)) // together).mean()
    with chart() as (canvas, ax):
        if shown["total_variation"].notna().any():
            ax.plot(shown["position"], shown["total_variation"], color=PURPLE, label="mean total variation")
        dots = _DOTS if len(shown) <= 40 else {**_DOTS, "markersize": 2, "markerfacecolor": INK}
        ax.plot(shown["position"], shown["rejected"], label="share rejected", **dots)
        ax.set(xlabel="position", ylabel="at the pass that commits", ylim=(0, 1.02))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="best")
        mean = number(float(np.average(frame["rejected"], weights=frame["drafts"])))
        described = f"{mean} of the drafts that were committed on were rejected."
        svg = inline(canvas, "variation", title, described)
    caption = (
        f"Mean total variation between draft law and target law at the pass that commits a position, and the share of "
        f"drafts rejected there{f', means of {together} positions' if together > 1 else ''}. {described} In a lossless "
        "decoder the two agree up to chance."
    )
    return Chart(title, caption, svg, shown.rename(columns={"total_variation": "total variation"}))


def commits(trace: xr.Dataset) -> Chart:
    """Tokens committed a pass."""
    title = "Tokens committed a pass"
    counts = trajectories.commit_lengths(trace)
    shares = counts / max(int(counts.sum()), 1)
    last = int(np.flatnonzero(counts).max(initial=1))
    frame = pd.DataFrame({"tokens": np.arange(last + 1), "passes": counts[: last + 1], "share": shares[: last + 1]})
    frame = frame.iloc[1:] if counts[0] == 0 else frame
    with chart() as (canvas, ax):
        ax.bar(frame["tokens"], frame["share"], color=GREEN, edgecolor=INK, linewidth=0.5)
        ax.set(xlabel="tokens committed", ylabel="share of passes", ylim=(0, None))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        mean = number(float((np.arange(len(counts)) * shares).sum()))
        described = f"A pass commits {mean} tokens on average."
        svg = inline(canvas, "commits", title, described)
    return Chart(title, f"{described} A pass that rejects at once still commits one.", svg, frame)
