"""How methods look, in every figure alike: colour, marker, line style and hatch, so that grey prints read too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.common.escape import mathtext

INK = "#333333"


@dataclass(frozen=True)
class Look:
    """Appearance of a method.

    Attributes
    ----------
    label : str
        In captions.
    color, marker, linestyle, hatch : str
        As Matplotlib spells them.
    """

    label: str
    color: str
    marker: str
    linestyle: str
    hatch: str

    @property
    def drawn(self) -> str:
        """The label in legends and titles, where it is not read as mathematics."""
        return mathtext(self.label)


_LOOKS = {
    "ar": Look("AR", "#000000", "x", ":", ""),
    "jacobi": Look("Jacobi", "#56B4E9", "v", (0, (1, 1)), "xx"),  # type: ignore[arg-type]
    "sjd": Look("SJD", "#E69F00", "o", "-", "///"),
    "scd-mc": Look("SCD-MC", "#0072B2", "s", "--", "\\\\\\"),
    "scd-gs": Look("SCD-GS", "#009E73", "^", "-.", "..."),
    "sjd-pac": Look("SJD-PAC", "#D55E00", ".", (0, (3, 1)), "oo"),  # type: ignore[arg-type]
    "sjd-vp": Look("SJD-VP", "#CC79A7", "D", ":", "++"),
}


def look(method: str) -> Look:
    """Appearance of a method; one that is not known, say somebody else's decoder, is plain dark red."""
    return _LOOKS.get(method, Look(method, "#882255", "P", "-", ""))


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults and this package's sheet, whatever the user's settings are."""
    with as_file(files("scd_analysis.figures") / "scd.mplstyle") as sheet, matplotlib.style.context(["default", sheet]):
        yield


def panels(mosaic: Sequence[Sequence[str]], size: tuple[float, float], **more: Any) -> tuple[Canvas, dict[str, Axes]]:
    """An empty canvas of ``size`` inches and its axes by name; made without pyplot, so nothing stays open."""
    canvas = Canvas(figsize=size, layout="constrained")
    axes: dict[str, Axes] = canvas.subplot_mosaic([list(row) for row in mosaic], **more)
    return canvas, axes


def error_line(ax: Axes, x: Any, rows: pd.DataFrame, method: str, **more: Any) -> None:
    """A method's line through ``value`` over ``x``, with its interval from ``low`` to ``high`` where it has one."""
    style = look(method)
    low, high = rows["low"].fillna(rows["value"]), rows["high"].fillna(rows["value"])
    settings: dict[str, Any] = {
        "color": style.color,
        "marker": style.marker,
        "linestyle": style.linestyle,
        "markeredgecolor": "black",
        "markeredgewidth": 0.5,
        "capsize": 3,
        "elinewidth": 1,
        "label": style.drawn,
    }
    ends = np.array([rows["value"] - low, high - rows["value"]]).clip(0)
    ax.errorbar(x, rows["value"], yerr=ends, **settings | more)


def apart(number: int, count: int, step: float) -> float:
    """How far to move the marks of one of several methods, so that they do not lie on each other."""
    return step * (number - (count - 1) / 2)


def put_letters(axes: Sequence[Axes]) -> None:
    """Prefix the titles of several panels with (a), (b), ..."""
    for letter, ax in zip("abcdefghij", axes, strict=False):
        ax.set_title(f"({letter}) {ax.get_title(loc='left')}", loc="left")
