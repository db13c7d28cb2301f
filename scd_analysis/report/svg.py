"""A Matplotlib canvas as inline SVG that follows the page: its colours, its font, its width."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.style import INK, panels, style
from scd_analysis.report.markup import Markup, element

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
GRID, PAPER = "#d9d9d9", "#ffffff"

_VARIABLES = {
    INK: "currentColor",
    GRID: "var(--rule)",
    PAPER: "var(--page)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    RED: "var(--red)",
    PURPLE: "var(--purple)",
}
"""Colours as drawn, to those of the style sheet, which differ between light and dark. Nothing is drawn in black: SVG
leaves black out, so it could not be told from what has no colour."""

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.labelcolor": INK,
    "legend.facecolor": PAPER,
    "grid.color": GRID,
}


@contextmanager
def chart() -> Iterator[tuple[Canvas, Axes]]:
    """An empty chart in the style of all figures, without colours of its own."""
    with style(), mpl.rc_context(_SETTINGS):
        canvas, axes = panels([["only"]], (4.1, 2.8))
        yield canvas, axes["only"]


def inline(canvas: Canvas, identifier: str, title: str, description: str) -> Markup:
    """Write a canvas as an SVG element; to be called within :func:`chart`.

    Parameters
    ----------
    canvas : matplotlib.figure.Figure
    identifier : str
        Prefix of every id, so that the charts of a page do not share any.
    title, description : str
        Read out in place of the picture.
    """
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator"), None))
    box, body = _parts(buffer.getvalue())
    body = re.sub(r'\bid="([^"]+)"', rf'id="{identifier}-\1"', body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{identifier}-", body)
    for drawn, shown in _VARIABLES.items():
        body = re.sub(re.escape(drawn), shown, body, flags=re.IGNORECASE)
    names = (f"{identifier}-title", f"{identifier}-desc")
    head = [element("title", title, id=names[0]), element("desc", description, id=names[1])]
    return element(
        "svg", *head, Markup(body), viewBox=box, role="img", aria_labelledby=names[0], aria_describedby=names[1]
    )


def _parts(text: str) -> tuple[str, str]:
    """View box, and what is drawn: without prologue, metadata, and a style sheet that would apply to the whole page."""
    found = re.search(r'<svg[^>]*viewBox="([^"]+)"[^>]*>(.*)</svg>', text, flags=re.DOTALL)
    assert found is not None
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", found.group(2), flags=re.DOTALL)
    body = re.sub(r"<defs>\s*</defs>", "", body)
    return found.group(1), re.sub(r"\n\s*", "\n", body).strip()
