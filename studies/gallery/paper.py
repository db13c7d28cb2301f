"""The same page to print: title, introduction, the table of published and measured, and a figure a page, as vectors."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.transforms import Bbox

from scd_analysis.common.files import MADE_BY, Kind, Output, encoded, write_files
from scd_analysis.figures.style import style
from studies.gallery import comparison
from studies.gallery.page import (
    HEADS,
    NONE,
    PAGE,
    PAPER,
    TABLE,
    TITLE,
    Entry,
    digest,
    entries,
    frames_of,
    introduction,
    last_line,
    number_of,
    reading,
    text,
)
from studies.gallery.typeset import MARGIN, MONO, PAPER_SIZE, Sheet, height, table, wrap

WIDTHS = (1.1, 1.4, 1.25, 2.05, 0.52, 0.45)
TITLE_SIZE, CAPTION_SIZE = 11.0, 8.0


def paper(found: list[Entry], made_from: str) -> bytes:
    """The PDF, the same bytes every time; its keyword is the digest of what it is made from."""
    file = io.BytesIO()
    about = {"Title": TITLE, "Keywords": made_from, "CreationDate": None, "Creator": MADE_BY, "Producer": None}
    with style(), PdfPages(file, metadata=about) as pdf:
        for sheet in _front(found):
            pdf.savefig(sheet.canvas)  # type: ignore[no-untyped-call]
        for entry in found:
            _figure(pdf, entry)
    return file.getvalue()


def _front(found: list[Entry]) -> list[Sheet]:
    sheet = Sheet()
    sheet.paragraph(TITLE, 16, weight="bold", after=0.15)
    for one in introduction(found):
        sheet.paragraph(one)
    lines = comparison.lines(frames_of(found))
    sheet.paragraph(TABLE, 11, weight="bold")
    wheres = ["", *(one.where for one in lines)]
    rows = [
        (
            one.where if one.where != before else "",
            one.quantity,
            one.published,
            one.measured,
            one.agrees or NONE,
            number_of(one.figure, found),
        )
        for before, one in zip(wheres, lines, strict=False)
    ]
    sheets = list(table(sheet, HEADS, rows, WIDTHS))
    closing = reading(lines)
    if height(wrap(closing, PAPER_SIZE[0] - 2 * MARGIN, 9), 9) > sheets[-1].room:
        sheets.append(Sheet())
    sheets[-1].used += 0.1
    sheets[-1].paragraph(closing)
    return sheets


def _figure(pdf: PdfPages, entry: Entry) -> None:
    """A figure at its print size in the middle of a sheet, with its title above and its caption below.

    The canvas stays as large as the figure is, so that nothing in it moves; the sheet is what is cut out around it.
    """
    canvas, axes = entry.figure.layout(entry.stored.frame)
    entry.figure.draw(entry.stored.frame, axes)
    canvas.draw_without_rendering()
    canvas.set_layout_engine("none")
    for legend in canvas.legends:  # those outside of all axes would move to the border of the sheet
        legend.set_bbox_to_anchor((0, 0, 1, 1), canvas.transFigure)
    wide, high = canvas.get_size_inches()
    below = [(entry.stored.caption, CAPTION_SIZE), (f"From {entry.made_from}.", CAPTION_SIZE)]
    lines = [(line, size) for text_, size in below for line in wrap(text_, PAPER_SIZE[0] - 2 * MARGIN, size)]
    above = 0.12 + height(wrap(entry.title, PAPER_SIZE[0] - 2 * MARGIN, TITLE_SIZE, weight="bold"), TITLE_SIZE)
    tall = max(PAPER_SIZE[1], 2 * MARGIN + above + high + 0.4 + height([line for line, _ in lines], CAPTION_SIZE))
    left, top = (wide - PAPER_SIZE[0]) / 2, MARGIN + above + high
    sheet = Sheet(canvas, left, top)
    sheet.paragraph(entry.title, TITLE_SIZE, weight="bold")
    sheet.used = MARGIN + above + high + 0.12
    for text_, size in below:
        sheet.paragraph(text_, size, after=0.05)
    sheet.paragraph(entry.command, CAPTION_SIZE - 0.5, MONO)
    cut = Bbox([[left, top - tall], [left + PAPER_SIZE[0], top]])
    pdf.savefig(canvas, bbox_inches=cut)  # type: ignore[no-untyped-call]


def write_page(folder: Path) -> list[Path]:
    """Write the folder's page and paper, or neither."""
    found = entries(folder)
    page = text(found)
    printed = paper(found, digest(page, folder, found))
    about = encoded(f"{page}\n{last_line(printed)}")
    outputs = [Output(folder / PAGE, about, Kind.PAGE), Output(folder / PAPER, printed, Kind.PAPER)]
    write_files(outputs)
    return [one.path for one in outputs]
