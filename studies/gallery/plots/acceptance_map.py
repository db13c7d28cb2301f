"""Where in the image drafts are accepted, and where the law is uncertain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Panels, Run, Settings
from scd_analysis.figures.style import look, panels, put_letters
from scd_analysis.figures.words import by_method, methods, source
from scd_analysis.trace import trajectories
from studies.gallery.exhibit import Exhibit, main_runs

COLUMNS = ("method", "kind", "row", "column", "value", "low", "high", "n")


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a position, method and kind, with 95% interval over sequences.

    ``acceptance``: mean of ``1 - TV`` over the passes at which a redraft of the position is verified. ``entropy``: of
    the law that the position's token is committed from, nats; the same for every lossless method, so over all of them.

    Raises
    ------
    InputError
        If a run's model has no grid.
    """
    rows, entropies, grid = [], [], (0, 0)
    for run in runs:
        grid = getattr(run.model, "grid", None) or (0, 0)
        if grid[0] * grid[1] != run.trace.sizes["position"]:
            raise InputError(f"model {run.settings.get('model')!r}: has no grid, so there is no map")
        accept, entropy = _by_position(run)
        entropies.append(entropy)
        rows += [(run.label, "acceptance", *row) for row in _mapped(accept, grid)]
    rows += [("all", "entropy", *row) for row in _mapped(np.concatenate(entropies), grid)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _by_position(run: Run) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean acceptance and entropy at commit, Float[S, N] each; NaN where there was no redraft."""
    accepts, entropies = [], []
    for part in trajectories.read(run.trace, ("base", "age", "total_variation", "entropy", "committed"), 16):
        length = run.trace.sizes["position"]
        value = np.where(part["age"] > 0, 1 - part["total_variation"], np.nan)
        laid = trajectories.by_position(part["base"], value, length)
        count = (~np.isnan(laid)).sum(1)
        accepts.append(np.where(count > 0, np.nansum(laid, axis=1) / np.maximum(count, 1), np.nan))
        last = np.where(part["committed"] == 1, part["entropy"], np.nan)
        at_commit = trajectories.by_position(part["base"], last, length)
        entropies.append(np.where((~np.isnan(at_commit)).any(1), np.nansum(at_commit, axis=1), np.nan))
    return np.concatenate(accepts), np.concatenate(entropies)


def _mapped(values: npt.NDArray[np.float64], grid: tuple[int, int]) -> Iterator[tuple[object, ...]]:
    for position in range(values.shape[1]):
        place = (position // grid[1], position % grid[1])
        if np.isnan(values[:, position]).all():  # the first token is drawn before there are drafts
            yield (*place, None, None, None, 0)
            continue
        found = trajectories.mean_interval(values[:, position])
        yield (*place, found.value, found.low, found.high, found.n)


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """A map a method, then entropy."""
    names = methods(frame)
    return panels([names], (7.2, 2.6))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Maps in one scale, lighter is easier; the first row and column are the top left of the image."""
    names = [name for name in methods(frame) if name != "all"]
    accept = frame.loc[frame["kind"] == "acceptance", "value"]
    ends = (np.floor(accept.min() * 20) / 20, np.ceil(accept.max() * 20) / 20)
    entropy = _grid(frame[frame["method"] == "all"])
    highest = float(np.sort(entropy[~np.isnan(entropy)])[-2])
    for name, ax in axes.items():
        colors = ("cividis", *ends) if name in names else ("cividis_r", None, highest)
        shown = dict(zip(("cmap", "vmin", "vmax"), colors, strict=True))
        seaborn.heatmap(_grid(frame[frame["method"] == name]), ax=ax, square=True, cbar=False, rasterized=True, **shown)
        for which, axis in (("column", ax.xaxis), ("row", ax.yaxis)):
            ticks = _ticks(frame[which])
            axis.set_ticks([tick + 0.5 for tick in ticks], [str(tick) for tick in ticks], rotation=0)
        ax.set_xlabel("column (tokens)")
        ax.set_title(look(name).drawn if name in names else "all methods")
    canvas = axes["all"].get_figure(root=True)
    assert canvas is not None
    canvas.colorbar(axes[names[-1]].collections[0], ax=[axes[name] for name in names], location="bottom", shrink=0.5,
                    aspect=30, label="acceptance probability (1 - TV)")  # fmt: skip
    canvas.colorbar(axes["all"].collections[0], ax=axes["all"], location="bottom", aspect=14, extend="max",
                    label="entropy at commit (nats)")  # fmt: skip
    axes[names[0]].set_ylabel("row (tokens)")
    put_letters(list(axes.values()))


def _ticks(values: pd.Series) -> list[int]:
    last = int(values.max())
    return [0, last // 2, last]


def _grid(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    return np.asarray(rows.pivot_table(index="row", columns="column", values="value", dropna=False), dtype=np.float64)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """First row and first column against the rest, and how sure a cell is."""
    accept = frame[frame["kind"] == "acceptance"]
    parts = {}
    for method in methods(accept):
        rows = accept[accept["method"] == method]
        top, left = rows[rows["row"] == 0]["value"].mean(), rows[(rows["column"] == 0)]["value"].mean()
        inside = rows[(rows["row"] > 0) & (rows["column"] > 0)]["value"].mean()
        parts[method] = f"{top:.2f} in the first row, {left:.2f} in the first column and {inside:.2f} elsewhere"
    half = ((accept["high"] - accept["low"]) / 2).replace(np.inf, np.nan).median()
    entropy = frame[frame["kind"] == "entropy"]
    first, rest = (entropy[choice]["value"].mean() for choice in (entropy["row"] == 0, entropy["row"] > 0))
    alone = entropy["value"].iloc[0]
    start = "" if np.isnan(alone) else f"{alone:.2f} nats at the first position (off the scale), "
    count, said = len(methods(accept)), "; ".join(by_method({name: text}) for name, text in parts.items())
    return (
        f"(a-{'abcdefgh'[count - 1]}) Acceptance probability 1 - TV of redrafts by place in the image, mean over "
        f"passes and sequences (white: never redrafted): {said}; a cell is sure to "
        f"± {half:.2f} (median 95% interval over sequences). ({'abcdefgh'[count]}) Entropy of the law a token is "
        f"committed from, where a draft was verified: {start}{first:.2f} nats in the first row, {rest:.2f} below. "
        f"{source(settings)}"
    )


SUMMARY = "map over the image of acceptance and of the entropy at commit"

FIGURE = Exhibit(compute, layout, draw, caption, needs=main_runs(), paper="Of the papers we have no such map on file.")
