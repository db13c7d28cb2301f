"""The same page to print: abstract, contents, published beside measured, and the figures as vectors with captions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer

from scd_analysis.common.files import MADE_BY, Kind, Output, encoded, write_files
from scd_analysis.figures.rendering import picture
from studies.gallery import comparison, printing
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
from studies.gallery.printing import Drawing, link, marked
from studies.gallery.reported import PAPERS

WIDTHS = (1.15, 1.45, 1.3, 2.1, 0.6, 0.5)


def paper(found: list[Entry], made_from: str) -> bytes:
    """The PDF, the same bytes every time; its keyword is the digest of what it is made from."""
    printing.register_fonts()
    drawings = [_drawing(entry) for entry in found]
    story, heading = [*_front(found), *_comparison(found)], [_section(3, "Figures")]
    for entry, drawing in zip(found, drawings, strict=True):
        story.append(KeepTogether([*heading, drawing, *_words(entry)]))
        heading = []
    story += [_section(4, "Papers"), *(Paragraph(marked(one), printing.BODY) for one in PAPERS)]
    about = {"/Title": TITLE, "/Keywords": made_from, "/Creator": MADE_BY, "/Producer": "reportlab, pypdf, matplotlib"}
    return printing.printed(TITLE, story, drawings, about)


def _section(number: int, title: str) -> printing.Listed:
    listed = f"{number} {title}"
    return printing.Listed(marked(f"{number}\u2002{title}"), printing.SECTION, listed, 0, f"section-{number}")


def _front(found: list[Entry]) -> Iterator[Flowable]:
    """Title, abstract and contents, and how the figures are read."""
    what, made, how = introduction(found)
    yield Paragraph(marked(TITLE), printing.TITLE)
    yield Paragraph("the figures of the repository, printed", printing.BYLINE)
    yield Paragraph(f"<b>Abstract.</b> {marked(what)}", printing.ABSTRACT)
    yield Paragraph(marked(reading(comparison.lines(frames_of(found)))), printing.ABSTRACT)
    yield Spacer(1, 8)
    yield Paragraph("Contents", printing.SECTION)
    yield printing.contents()
    yield _section(1, "How to read the figures")
    yield from (Paragraph(marked(one), printing.BODY) for one in (how, made))


def _comparison(found: list[Entry]) -> Iterator[Flowable]:
    yield _section(2, TABLE)
    lines, before = comparison.lines(frames_of(found)), ""
    rows = []
    for one in lines:
        number = number_of(one.figure, found)
        said = [marked(part) for part in (one.where, one.quantity, one.published, one.measured, one.agrees or NONE)]
        rows.append([*said, number if number == NONE else link(number, one.figure)])
        rows[-1][0], before = ("" if one.where == before else said[0]), one.where
    words = f"<b>Table 1.</b> {marked(TABLE)}, quantity by quantity. {marked(reading(lines))}"
    yield Paragraph(words, printing.CAPTION)
    yield Spacer(1, 4)
    yield printing.table(HEADS, rows, WIDTHS)


def _words(entry: Entry) -> list[Flowable]:
    """Number, title and caption of a figure, and where it comes from."""
    number, _, title = entry.title.partition(". ")
    caption = f"<b>{marked(number)}. {marked(title)}.</b> {marked(entry.stored.caption)}"
    source = marked(f"From {entry.made_from}. `{entry.command}`")
    return [
        printing.Listed(caption, printing.CAPTION, entry.title, 1, entry.figure.name),
        Paragraph(source, printing.SOURCE),
    ]


def _drawing(entry: Entry) -> Drawing:
    below = sum(one.wrap(printing.WIDTH, printing.HEIGHT)[1] + one.getSpaceBefore() for one in _words(entry))
    return Drawing(picture(entry.figure, entry.stored, "pdf"), below + 12)


def write_page(folder: Path) -> list[Path]:
    """Write the folder's page and paper, or neither."""
    found = entries(folder)
    page = text(found)
    printed = paper(found, digest(page, folder, found))
    about = encoded(f"{page}\n{last_line(printed)}")
    outputs = [Output(folder / PAGE, about, Kind.PAGE), Output(folder / PAPER, printed, Kind.PAPER)]
    write_files(outputs)
    return [one.path for one in outputs]
