"""Marks of methods, drawn by seaborn: lines, bars and points in the looks of their methods.

A frame says of a number its value and the ends of its interval, ``low`` and ``high``. seaborn computes what it shows
from samples; it gets the three as one, of which the middle is the value, and the span the interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes

from scd_analysis.figures.style import Look, look

Looks = Mapping[str, Look]

BLACK_EDGES = {"markeredgecolor": "black", "markeredgewidth": 0.5}


def looks_of(rows: pd.DataFrame, hue: str = "method") -> dict[str, Look]:
    """How each method of a frame looks, in the order in which they were computed."""
    return {name: look(name) for name in dict.fromkeys(rows[hue])}


def _ends(values: pd.Series) -> tuple[float, float]:
    return values.min(), values.max()


SHOWN: dict[str, Any] = {"estimator": "median", "errorbar": _ends}
"""For seaborn, to show rows that were :func:`spread`."""


def spread(rows: pd.DataFrame) -> pd.DataFrame:
    """Three rows for each: its value and both ends of its interval, which are the value where there is none."""
    low, high = (rows[end].fillna(rows["value"]) for end in ("low", "high"))
    ends = (np.minimum(low, rows["value"]), rows["value"], np.maximum(high, rows["value"]))
    return pd.concat([rows.assign(value=one) for one in ends], ignore_index=True)


def _hued(rows: pd.DataFrame, looks: Looks, hue: str) -> dict[str, Any]:
    """A frame that names methods as legends do, and their colours in order."""
    labels = [one.drawn for one in looks.values()]
    named = rows.assign(**{hue: rows[hue].map({name: one.drawn for name, one in looks.items()})})
    colors = {one.drawn: one.color for one in looks.values()}
    return {"data": named, "hue": hue, "hue_order": labels, "palette": colors}


def lines(
    ax: Axes,
    rows: pd.DataFrame,
    at: str,
    looks: Looks | None = None,
    hue: str = "method",
    *,
    dodge: float = 0.15,
    **more: Any,
) -> None:
    """A method's line through ``value`` over ``at`` with intervals; methods stand side by side, over ``dodge``."""
    looks = looks_of(rows, hue) if looks is None else looks
    settings: dict[str, Any] = {"native_scale": True, "capsize": 0.04, "err_kws": {"linewidth": 1}, "linewidth": 1.6}
    settings |= {"markers": [one.marker for one in looks.values()], "markersize": 5}
    settings |= {"linestyles": [one.linestyle for one in looks.values()]}
    settings |= {"x": "value", "y": at} if more.get("orient") == "y" else {"x": at, "y": "value"}
    settings["dodge"] = dodge if len(looks) > 1 else False
    seaborn.pointplot(**_hued(spread(rows), looks, hue), ax=ax, **SHOWN | BLACK_EDGES | settings | more)
    without_legend(ax)


def curves(ax: Axes, rows: pd.DataFrame, x: str, looks: Looks | None = None, hue: str = "method", **more: Any) -> None:
    """A method's line through ``value`` over a quantity ``x``, in a band of its intervals or with bars of them."""
    looks = looks_of(rows, hue) if looks is None else looks
    hued = _hued(spread(rows), looks, hue)
    markers, dashes = ({one.drawn: kind(one) for one in looks.values()} for kind in (lambda one: one.marker, _dashes))
    settings: dict[str, Any] = {"markers": markers, "dashes": dashes, "linewidth": 1.6, "markersize": 5}
    settings |= {"style": hue, "style_order": hued["hue_order"]}
    if more.get("err_style") == "bars":
        settings["err_kws"] = {"capsize": 2, "elinewidth": 1}
    else:
        settings["err_kws"] = {"linewidth": 0, "alpha": 0.25}
    seaborn.lineplot(**hued, x=x, y="value", ax=ax, **SHOWN | BLACK_EDGES | settings | more)
    without_legend(ax)


def _dashes(one: Look) -> str | tuple[float, ...]:
    """A line style as seaborn spells it."""
    named: dict[str, str | tuple[float, ...]] = {"-": "", "--": (3.7, 1.6), "-.": (6.4, 1.6, 1, 1.6), ":": (1, 1.65)}
    return named[one.linestyle] if isinstance(one.linestyle, str) else one.linestyle[1]


def bars(ax: Axes, rows: pd.DataFrame, x: str, looks: Looks | None = None, hue: str = "method", **more: Any) -> None:
    """A method's bars over ``x`` with intervals, hatched for grey prints."""
    looks = looks_of(rows, hue) if looks is None else looks
    settings: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.5, "saturation": 1, "capsize": 0.3}
    settings |= {"err_kws": {"linewidth": 0.8, "color": "black"}}
    seaborn.barplot(**_hued(spread(rows), looks, hue), x=x, y="value", ax=ax, **SHOWN | settings | more)
    handles: list[Any] = ax.get_legend_handles_labels()[0]  # none where ``x`` is the method
    for index, (container, one) in enumerate(zip(ax.containers, looks.values(), strict=True)):
        for artist in (*handles[index : index + 1], *container):
            artist.set_hatch(one.hatch)
    without_legend(ax)


def steps(ax: Axes, rows: pd.DataFrame, x: str, looks: Looks | None = None, hue: str = "method", **more: Any) -> None:
    """A method's histogram as an outline: ``value`` is the share of the bin that ``x`` lies in."""
    looks = looks_of(rows, hue) if looks is None else looks
    hued = _hued(rows, looks, hue)
    hued["hue_order"] = hued["hue_order"][::-1]  # seaborn draws the last first
    settings: dict[str, Any] = {"weights": "value", "element": "step", "fill": False, "linewidth": 1.6}
    seaborn.histplot(**hued, x=x, ax=ax, **settings | more)
    for line, one in zip(ax.lines, looks.values(), strict=True):
        line.set(linestyle=one.linestyle, label=one.drawn)
    without_legend(ax)


def points(ax: Axes, rows: pd.DataFrame, x: str, y: str, looks: Looks | None = None, hue: str = "method",
           **more: Any) -> None:  # fmt: skip
    """A method's points."""
    looks = looks_of(rows, hue) if looks is None else looks
    markers = {one.drawn: one.marker for one in looks.values()}
    hued = _hued(rows, looks, hue)
    seaborn.scatterplot(**hued, x=x, y=y, style=hue, style_order=hued["hue_order"], markers=markers, ax=ax, **more)
    without_legend(ax)


def without_legend(ax: Axes) -> None:
    """Take away the legend that seaborn put; its entries stay for one that is asked for."""
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()
