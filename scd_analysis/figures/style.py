"""How methods look, in every figure alike: colour, marker, line style and hatch, so that grey prints read too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

INK = "#333333"


@dataclass(frozen=True)
class Look:
    """Appearance of a method.

    Attributes
    ----------
    label : str
        In legends.
    color, marker, linestyle, hatch : str
        As Matplotlib spells them.
    """

    label: str
    color: str
    marker: str
    linestyle: str
    hatch: str


_LOOKS = {
    "ar": Look("AR", "#000000", "x", ":", ""),
    "jacobi": Look("Jacobi", "#56B4E9", "v", (0, (1, 1)), "xx"),  # type: ignore[arg-type]
    "sjd": Look("SJD", "#E69F00", "o", "-", "///"),
    "scd-mc": Look("SCD-MC", "#0072B2", "s", "--", "\\\\\\"),
    "scd-gs": Look("SCD-GS", "#009E73", "^", "-.", "..."),
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


def put_letters(axes: Sequence[Axes]) -> None:
    """Prefix the titles of several panels with (a), (b), ..."""
    for letter, ax in zip("abcdefghij", axes, strict=False):
        ax.set_title(f"({letter}) {ax.get_title(loc='left')}", loc="left")
