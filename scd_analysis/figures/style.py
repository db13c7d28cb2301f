"""How methods look, in every figure alike: colour, marker, line style and hatch, so that grey prints read too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import matplotlib.style
import seaborn
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
        As Matplotlib spells them; a line style may be its dashes.
    """

    label: str
    color: str
    marker: str = "P"
    linestyle: str | tuple[int, tuple[int, ...]] = "-"
    hatch: str = ""

    @property
    def drawn(self) -> str:
        """The label in legends and titles, where it is not read as mathematics."""
        return mathtext(self.label)


_LOOKS = {
    "ar": Look("AR", "#000000", "x", ":", ""),
    "jacobi": Look("Jacobi", "#56B4E9", "v", (0, (1, 1)), "xx"),
    "sjd": Look("SJD", "#E69F00", "o", "-", "///"),
    "scd-mc": Look("SCD-MC", "#0072B2", "s", "--", "\\\\\\"),
    "scd-gs": Look("SCD-GS", "#009E73", "^", "-.", "..."),
    "sjd-pac": Look("SJD-PAC", "#D55E00", ".", (0, (3, 1)), "oo"),
    "sjd-vp": Look("SJD-VP", "#CC79A7", "D", ":", "++"),
}


_COLORS = ("#882255", "#117733", "#332288", "#AA4499", "#999933", "#44AA99")
_MARKERS = ("P", "X", "h", "*", "p", "d", "<", ">")
_LINES = ("-", "--", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)))


def look(method: str) -> Look:
    """Appearance of a method; of one that is not known, say somebody else's decoder, its name chooses it.

    So it is the same in every figure, and two of them are seldom alike.
    """
    if method in _LOOKS:
        return _LOOKS[method]
    chosen = crc32(method.encode())
    return Look(
        method,
        _COLORS[chosen % len(_COLORS)],
        _MARKERS[chosen // 7 % len(_MARKERS)],
        _LINES[chosen // 61 % len(_LINES)],
        "/" * (1 + chosen // 331 % 3) + "-",
    )


_OURS = {
    "font.sans-serif": ["DejaVu Sans"],  # ships with Matplotlib, so that a figure looks the same on every machine
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.5,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "#d9d9d9",
    "legend.fancybox": False,
    "image.interpolation": "nearest",
    "savefig.dpi": 220,
    "svg.hashsalt": "scd-analysis",
}
"""What differs from seaborn's theme. Colours of methods are Okabe's and Ito's, which the colour-blind tell apart."""


@contextmanager
def style() -> Iterator[None]:
    """Use seaborn's theme for papers with our settings, whatever the user's are."""
    with matplotlib.style.context("default"):
        seaborn.set_theme("paper", "ticks", "colorblind", font_scale=0.9, color_codes=False, rc=_OURS)
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
