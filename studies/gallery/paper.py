"""The same page to print: abstract, contents, the story, its tables, and the figures as vectors with captions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer

from scd_analysis.common.files import MADE_BY, Kind, Output, encoded, write_files
from scd_analysis.figures.rendering import picture
from studies.gallery import printing
from studies.gallery.page import (
    PAGE,
    PAPER,
    Entry,
    abstract,
    digest,
    entries,
    frames_of,
    last_line,
    number_of,
    sections_of,
    text,
)
from studies.gallery.printing import Drawing, link, marked
from studies.gallery.story import Figures, references, title
from studies.gallery.tables import NONE, Table


def paper(found: list[Entry], made_from: str) -> bytes:
    """The PDF, the same bytes every time; its keyword is the digest of what it is made from."""
    printing.register_fonts()
    drawings = {entry.figure.name: _drawing(entry) for entry in found}
    told, numbered = list(_front(found)), _Numbered()
    for number, section in enumerate(sections_of(found), 1):
        heading: list[Flowable] = [_section(number, section.title)]
        for block in section.blocks:
            if isinstance(block, Figures):
                for entry in (one for name in block.names for one in found if one.figure.name == name):
                    told.append(KeepTogether([*heading, drawings[entry.figure.name], *_words(entry)]))
                    heading = []
                continue
            told += heading
            heading = []
            told += numbered.table(block, found) if isinstance(block, Table) else [_paragraph(block)]
    about = {
        "/Title": title(),
        "/Keywords": made_from,
        "/Creator": MADE_BY,
        "/Producer": "reportlab, pypdf, matplotlib",
    }
    return printing.printed(title(), told, list(drawings.values()), about)


def _section(number: int, title: str) -> printing.Listed:
    listed = f"{number} {title}"
    return printing.Listed(marked(f"{number}\u2002{title}"), printing.SECTION, listed, 0, f"section-{number}")


def _front(found: list[Entry]) -> Iterator[Flowable]:
    """Title, abstract and contents."""
    what, made = abstract(found)
    yield Paragraph(marked(title()), printing.TITLE)
    yield Paragraph("the figures of the repository, printed", printing.BYLINE)
    yield Paragraph(f"<b>Abstract.</b> {marked(what)}", printing.ABSTRACT)
    yield Paragraph(marked(made), printing.ABSTRACT)
    yield Spacer(1, 8)
    yield Paragraph("Contents", printing.SECTION)
    yield printing.contents()


def _paragraph(text: str) -> Paragraph:
    """One of the story; what is in brackets at its start is where citations lead."""
    found = re.match(r"\[(?P<key>[^]]+)\] (?P<rest>.*)", text)
    if found is None:
        return Paragraph(_cited(marked(text)), printing.BODY)
    return Paragraph(f'<a name="{found["key"]}"/><b>{found["key"]}.</b> {marked(found["rest"])}', printing.BODY)


def _cited(markup: str) -> str:
    for key in references():
        markup = markup.replace(escape(key), link(key, key))
    return markup


class _Numbered:
    """Tables, each with its number."""

    def __init__(self) -> None:
        self._count = 0

    def table(self, table: Table, found: list[Entry]) -> Iterator[Flowable]:
        """Caption and table; a cell that says what the one above it says is left empty in the first column."""
        self._count += 1
        frames, rows, before = frames_of(found), [], ""
        for one in table.rows(frames):
            row = [marked(cell) for cell in one]
            if table.links:
                number = number_of(one[-1], found)
                row[-1] = number if number == NONE else link(number, one[-1])
            first, row[0] = one[0], "" if one[0] == before else row[0]
            rows.append(row)
            before = first
        words = f"<b>Table {self._count}.</b> {marked(table.title)}. {marked(table.after(frames))}"
        yield Paragraph(words, printing.CAPTION)
        yield Spacer(1, 4)
        yield printing.table(table.heads, rows, table.widths)
        yield Spacer(1, 8)


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
