"""Text on pages with Matplotlib alone: wrapped paragraphs and a table, set in inches from the top of a sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D

from scd_analysis.common.escape import line as one_line

PAPER_SIZE = (8.27, 11.69)
"""A4, inches."""

MARGIN = 0.75
FAMILY, MONO = "DejaVu Serif", "DejaVu Sans Mono"
LEADING = 1.35
_LARGE = 200.0
"""Points; words are measured so large, where hinting to whole pixels does not matter."""


@cache
def _width(word: str, size: float, family: str, weight: str) -> float:
    """Inches."""
    font = get_font(findfont(FontProperties(family=family, weight=weight)))
    font.set_size(_LARGE, 72)
    font.set_text(word, 0.0)
    return float(font.get_width_height()[0]) / 64 / 72 * size / _LARGE


def wrap(text: str, width: float, size: float, family: str = FAMILY, weight: str = "normal") -> list[str]:
    """Lines of ``text`` that are at most ``width`` inches wide; a word that is wider stands alone."""
    lines: list[str] = []
    space, used = _width("n n", size, family, weight) - _width("nn", size, family, weight), 0.0
    for word in one_line(text).split():
        wide = _width(word, size, family, weight)
        if lines and used + space + wide <= width:
            lines[-1] += f" {word}"
            used += space + wide
        else:
            lines.append(word)
            used = wide
    return lines


def height(lines: Sequence[str], size: float) -> float:
    """Inches that lines take."""
    return len(lines) * size * LEADING / 72


class Sheet:
    """A page that is filled from the top.

    Parameters
    ----------
    canvas : Figure
        Where text is put.
    left, top : float
        Of the page's top left corner, inches from the canvas's lower left; an empty sheet is its own canvas.
    """

    def __init__(self, canvas: Canvas | None = None, left: float = 0.0, top: float = PAPER_SIZE[1]) -> None:
        self.canvas = canvas if canvas is not None else Canvas(figsize=PAPER_SIZE)
        self.left, self.top, self.used = left, top, MARGIN

    @property
    def room(self) -> float:
        """Inches left."""
        return PAPER_SIZE[1] - MARGIN - self.used

    def put(self, x: float, y: float, text: str, size: float, family: str = FAMILY, weight: str = "normal") -> None:
        """One line of text, its top left corner at inches from that of the page; never read as mathematics."""
        wide, high = self.canvas.get_size_inches()
        self.canvas.text(
            (self.left + x) / wide,
            (self.top - y) / high,
            text,
            fontsize=size,
            family=family,
            weight=weight,
            ha="left",
            va="top",
            parse_math=False,
        )

    def rule(self, width: float = 0.4) -> None:
        """A line over the whole width."""
        wide, high = self.canvas.get_size_inches()
        across = [(self.left + x) / wide for x in (MARGIN, PAPER_SIZE[0] - MARGIN)]
        at = (self.top - self.used) / high
        line = Line2D(across, [at, at], color="#999999", linewidth=width, transform=self.canvas.transFigure)
        self.canvas.add_artist(line)

    def paragraph(
        self, text: str, size: float = 9.0, family: str = FAMILY, weight: str = "normal", after: float = 0.08
    ) -> None:
        """Text over the whole width, and some space."""
        for line in wrap(text, PAPER_SIZE[0] - 2 * MARGIN, size, family, weight):
            self.put(MARGIN, self.used, line, size, family, weight)
            self.used += size * LEADING / 72
        self.used += after


def table(
    sheet: Sheet, heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float], size: float = 7.0
) -> Iterator[Sheet]:
    """Put a table on a sheet, and on more of them where it does not fit; every finished sheet is given back."""
    for number, cells in enumerate([heads, *rows]):
        weight = "bold" if number == 0 else "normal"
        lines = [wrap(cell, width - 0.08, size, FAMILY, weight) for cell, width in zip(cells, widths, strict=True)]
        tall = max(height(some, size) for some in lines) + 0.05
        if tall > sheet.room:
            yield sheet
            sheet = Sheet()
        sheet.rule(0.8 if number <= 1 else 0.3)
        sheet.used += 0.04
        x = MARGIN
        for some, width in zip(lines, widths, strict=True):
            for i, line in enumerate(some):
                sheet.put(x, sheet.used + i * size * LEADING / 72, line, size, FAMILY, weight)
            x += width
        sheet.used += tall
    yield sheet
