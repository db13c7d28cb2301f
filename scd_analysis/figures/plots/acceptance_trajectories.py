"""How the acceptance probability of a token moves from pass to pass, and its mean and variance over the passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Figure, Panels, Run, Settings
from scd_analysis.figures.marks import curves, steps, without_legend
from scd_analysis.figures.style import INK, look, panels, put_letters
from scd_analysis.figures.words import by_method, methods, source
from scd_analysis.trace import trajectories

EXAMPLES = 3
RARE = 0.02
"""Ages that fewer than this share of redrafted tokens reach are left out: what is left there is not typical."""

BINS = {"token_mean": np.linspace(0, 1, 21), "token_variance": np.linspace(0, 0.25, 26)}
COLUMNS = ("method", "panel", "token", "x", "value", "low", "high", "n")


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Rows of five kinds (``panel``).

    ``example``: acceptance probability (``value``) of one ``token`` at age ``x``. ``band``: its mean over tokens at age
    ``x``, one standard deviation either side (``low``, ``high``), and their number. ``token_mean`` and
    ``token_variance``: share of tokens (``value``) in the bin that starts at ``x`` and ends at ``high``.
    ``mean_of_token_mean`` and ``mean_of_token_variance``: over tokens, with 95% interval over sequences.
    """
    rows: list[tuple[object, ...]] = []
    for run in runs:
        rows += [(run.label, *row) for row in (*_by_age(run), *_by_token(run))]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _by_age(run: Run) -> list[tuple[object, ...]]:
    """Examples and band; age 0 is left out, because the law of an initial draft is a point mass."""
    num_tokens = run.trace.sizes["position"]
    sums = np.zeros((3, run.trace.sizes["iteration"] + 1))
    examples: list[tuple[object, ...]] = []
    for part in trajectories.read(run.trace, ("base", "total_variation", "age"), 16):
        age = np.where(part["age"] > 0, part["age"], np.nan)
        value = np.where(np.isnan(age), np.nan, 1 - part["total_variation"])
        kept = ~np.isnan(value)
        index = age[kept].astype(np.int64)
        for power in range(3):
            sums[power] += np.bincount(index, value[kept] ** power, minlength=sums.shape[1])[: sums.shape[1]]
        if not examples:
            usual = np.argsort((~np.isnan(part["base"])).sum(1), kind="stable")[[len(age) // 2]]  # by its passes
            laid = [trajectories.by_position(part["base"][usual], a[usual], num_tokens)[0] for a in (age, value)]
            examples = _examples(*laid)
    if not sums[0].any():
        raise InputError(f"the trace of {run.label!r} has no redraft")
    count, total, square = sums
    ages = np.flatnonzero(count >= max(2.0, RARE * count.max()))
    mean = total[ages] / count[ages]
    spread = np.sqrt(np.maximum(square[ages] / count[ages] - mean**2, 0))
    band = [("band", None, int(a), m, m - s, m + s, int(count[a])) for a, m, s in zip(ages, mean, spread, strict=True)]
    return [*examples, *band]


def _examples(age: npt.NDArray[np.float64], value: npt.NDArray[np.float64]) -> list[tuple[object, ...]]:
    """A few tokens of a sequence, evenly spaced among those that wait no less than the median token."""
    passes = (~np.isnan(value)).sum(0)
    waiting = np.flatnonzero(passes >= max(2.0, float(np.median(passes))))
    if len(waiting) == 0:
        return []
    chosen = waiting[np.unique(np.linspace(0, len(waiting) - 1, EXAMPLES + 2).astype(int)[1:-1])]
    rows: list[tuple[object, ...]] = []
    for token in chosen:
        seen = ~np.isnan(value[:, token])
        for a, v in zip(age[seen, token], value[seen, token], strict=True):
            rows.append(("example", int(token), int(a), float(v), None, None, 1))
    return rows


def _by_token(run: Run) -> list[tuple[object, ...]]:
    by_token = trajectories.acceptance_by_token(run.trace)
    rows: list[tuple[object, ...]] = []
    for name in ("mean", "variance"):
        values, edges = by_token[name].values, BINS[f"token_{name}"]
        flat = values[~np.isnan(values)]
        share = np.histogram(flat, edges)[0] / max(len(flat), 1)
        for left, right, s in zip(edges[:-1], edges[1:], share, strict=True):
            rows.append((f"token_{name}", None, float(left), float(s), float(left), float(right), len(flat)))
        with np.errstate(invalid="ignore"):
            by_sequence = np.nansum(values, axis=1) / (~np.isnan(values)).sum(1)
        estimate = trajectories.mean_interval(by_sequence)
        rows.append((f"mean_of_token_{name}", None, None, estimate.value, estimate.low, estimate.high, estimate.n))
    return rows


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """A panel a method above, mean and variance below."""
    names = methods(frame)
    top = [name for name in names for _ in range(2)]
    bottom = ["token_mean"] * len(names) + ["token_variance"] * len(names)
    return panels([top, bottom], (7.2, 4.9))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Trajectories, bands and histograms."""
    names = methods(frame)
    last = frame.loc[frame["panel"] == "band", "x"].max()
    for method in names:
        _draw_method(frame[frame["method"] == method], axes[method])
        axes[method].set(xlabel="age (passes in the window)", ylabel="", ylim=(0, 1.02), xlim=(0.7, max(last, 2) + 0.3))
        axes[method].xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[method].set_title(look(method).drawn)
    axes[names[0]].set_ylabel("acceptance probability")
    canvas = axes[names[0]].get_figure(root=True)
    assert canvas is not None
    band, token, *_ = axes[names[0]].get_legend_handles_labels()[0]
    canvas.legend([token, band], ["single tokens", "mean ± 1 SD"], loc="outside upper right", ncols=2)
    for panel, label in (("token_mean", "mean"), ("token_variance", "variance")):
        ax, rows = axes[panel], frame[frame["panel"] == panel]
        steps(ax, rows.assign(x=(rows["low"] + rows["high"]) / 2), "x", bins=list(BINS[panel]))
        ax.set(xlabel=f"{label} of a token's acceptance probability", ylabel="share of tokens", ylim=(0, None))
        ax.set_title(f"{label} over a token's passes")
        if len(names) > 1:
            ax.legend()
    put_letters([*(axes[name] for name in names), axes["token_mean"], axes["token_variance"]])


def _draw_method(rows: pd.DataFrame, ax: Axes) -> None:
    band, examples = (rows[rows["panel"] == panel] for panel in ("band", "example"))
    curves(ax, band, "x", linewidth=2.2, markersize=4, zorder=3)
    seaborn.lineplot(examples, x="x", y="value", style="token", color=INK, linewidth=0.8, marker=".", markersize=5,
                     markeredgewidth=0, estimator=None, ax=ax)  # fmt: skip
    without_legend(ax)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """What single tokens do, and the means of mean and variance."""
    parts = {}
    for name in ("mean", "variance"):
        rows = frame[frame["panel"] == f"mean_of_token_{name}"]
        parts[name] = by_method({str(row.method): f"{row.value:.3f}" for row in rows.itertuples()})
    return (
        "Acceptance probability 1 - TV of tokens, by the number of passes since they entered the window: a few single "
        "tokens, and mean and standard deviation over all tokens still waiting at that age (ages that fewer than "
        f"{RARE:.0%} reach are left out, and so is the initial draft, whose law is a point mass). And mean and "
        f"variance over each token's own passes. Mean of the means: {parts['mean']}. Mean of the variances: "
        f"{parts['variance']}. {source(settings)}"
    )


SUMMARY = "acceptance probability of tokens over passes, and its mean and variance"

FIGURE = Figure(compute, layout, draw, caption, variables=("total_variation",))
