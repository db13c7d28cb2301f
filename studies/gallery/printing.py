"""A printed paper by reportlab: its styles, what the contents list, a table over pages, and drawings as vectors.

reportlab cannot place one PDF in another, so drawings leave room where they belong, and pypdf puts them there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from pypdf import PdfReader, PdfWriter, Transformation
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import inch
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, LongTable, PageTemplate, Paragraph, TableStyle
from reportlab.platypus.tableofcontents import TableOfContents

MARGIN = 0.85 * inch
WIDTH, HEIGHT = A4[0] - 2 * MARGIN, A4[1] - 2 * MARGIN
RULE, LINK = colors.HexColor("#333333"), "#0072B2"
_FONTS = {"Serif": "STIXGeneral", "Serif-Bold": "STIXGeneralBol", "Serif-Italic": "STIXGeneralItalic"}
_FONTS |= {"Serif-BoldItalic": "STIXGeneralBolIta", "Mono": "DejaVuSansMono"}
_LOWERED = str.maketrans("₊₀₁₂₃₄₅₆₇₈₉", "+0123456789")
_RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "\N{MINUS SIGN}0123456789")


def register_fonts() -> None:
    """Make Matplotlib's own fonts known, so that a paper looks the same on every machine."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name, file in _FONTS.items():
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{file}.ttf")))
    pdfmetrics.registerFontFamily("Serif", "Serif", "Serif-Bold", "Serif-Italic", "Serif-BoldItalic")


def _style(name: str, size: float, **more: Any) -> ParagraphStyle:
    settings: dict[str, Any] = {"fontName": "Serif", "leading": 1.22 * size, "textColor": colors.black}
    return ParagraphStyle(name, fontSize=size, **settings | more)


TITLE = _style("title", 19, fontName="Serif-Bold", alignment=TA_CENTER, spaceAfter=6)
BYLINE = _style("byline", 10, alignment=TA_CENTER, spaceAfter=14)
ABSTRACT = _style("abstract", 9.5, alignment=TA_JUSTIFY, leftIndent=30, rightIndent=30, spaceAfter=5)
BODY = _style("body", 10, alignment=TA_JUSTIFY, spaceAfter=6)
SECTION = _style("section", 13, fontName="Serif-Bold", spaceBefore=12, spaceAfter=6)
CAPTION = _style("caption", 9, alignment=TA_JUSTIFY, spaceBefore=4)
SOURCE = _style("source", 7.5, textColor=colors.HexColor("#555555"), spaceAfter=16)
CELL = _style("cell", 7.8)
CONTENTS = [
    _style("contents", 10, fontName="Serif-Bold", spaceBefore=5),
    _style("figures", 9, leftIndent=14, leading=11.6),
]


def marked(text: str) -> str:
    """Text as reportlab's markup: nothing in it is obeyed, digits are raised or lowered, numbers of arXiv link."""
    safe = escape(text, quote=False)
    safe = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: f"<super>{found[0].translate(_RAISED)}</super>", safe)
    safe = re.sub(
        "[₊₀₁₂₃₄₅₆₇₈₉]+", lambda found: f'<sub size="7" rise="1.5">{found[0].translate(_LOWERED)}</sub>', safe
    )
    safe = re.sub(r"`([^`]+)`", r'<font face="Mono" size="-1.5">\1</font>', safe)
    return re.sub(r"arXiv:([0-9.]+[0-9])", rf'<a href="https://arxiv.org/abs/\1" color="{LINK}">arXiv:\1</a>', safe)


def link(text: str, key: str) -> str:
    """A link to the heading or figure of that key."""
    return f'<a href="#{key}" color="{LINK}">{escape(text)}</a>'


class Listed(Paragraph):  # type: ignore[misc]
    """A paragraph that the contents list, and that links lead to.

    Parameters
    ----------
    markup : str
        What stands there.
    style : ParagraphStyle
        How.
    listed : str
        What the contents say.
    level : int
        0 for a section, 1 for a figure.
    key : str
        Its name in links.
    """

    def __init__(self, markup: str, style: ParagraphStyle, listed: str, level: int, key: str) -> None:
        super().__init__(markup, style)
        self.listed, self.level, self.key = listed, level, key


class Drawing(Flowable):  # type: ignore[misc]
    """Room for a drawing in the middle of the page, as large as it is or as the page and its caption allow.

    Parameters
    ----------
    content : bytes
        A PDF of one page.
    below : float
        Points that have to be left for what belongs to it.
    """

    def __init__(self, content: bytes, below: float) -> None:
        super().__init__()
        self.content, self.hAlign = content, "CENTER"
        box = PdfReader(io.BytesIO(content)).pages[0].mediabox
        self.scale = min(1.0, WIDTH / float(box.width), (HEIGHT - below) / float(box.height))
        self.width, self.height = float(box.width) * self.scale, float(box.height) * self.scale
        self.place = (0, 0.0, 0.0)

    def draw(self) -> None:
        """Remember the page and the corner; the last of several passes counts."""
        self.place = (self.canv.getPageNumber() - 1, *self.canv.absolutePosition(0, 0))


class Document(BaseDocTemplate):  # type: ignore[misc]
    """Pages with a running title and a number, and what the contents list.

    Parameters
    ----------
    file : file
        Where to write.
    title : str
        At the top of every page but the first.
    """

    def __init__(self, file: io.BytesIO, title: str) -> None:
        super().__init__(file, pagesize=A4, invariant=1)
        self.running = title
        frame = Frame(MARGIN, MARGIN, WIDTH, HEIGHT, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
        self.addPageTemplates([PageTemplate("page", [frame], onPage=self._furniture)])

    def _furniture(self, canvas: Any, _: Any) -> None:
        canvas.setFont("Serif", 9)
        canvas.drawCentredString(A4[0] / 2, 0.5 * inch, str(canvas.getPageNumber()))
        if canvas.getPageNumber() > 1:
            canvas.setFont("Serif-Italic", 9)
            canvas.drawString(MARGIN, A4[1] - 0.55 * inch, self.running)

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 -- reportlab's name
        """Tell the contents and the outline."""
        if isinstance(flowable, Listed):
            self.canv.bookmarkPage(flowable.key)
            self.canv.addOutlineEntry(flowable.listed, flowable.key, flowable.level, closed=True)
            self.notify("TOCEntry", (flowable.level, marked(flowable.listed), self.page, flowable.key))


def contents() -> TableOfContents:
    """The contents, with dots up to the number of the page."""
    tight = TableStyle([("TOPPADDING", (0, 0), (-1, -1), 0), ("BOTTOMPADDING", (0, 0), (-1, -1), 1)])
    return TableOfContents(dotsMinLevel=0, levelStyles=CONTENTS, tableStyle=tight)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float]) -> LongTable:
    """Print a table over as many pages as it takes, its head on each; cells are markup, widths are shares."""
    cells = [[Paragraph(f"<b>{marked(head)}</b>", CELL) for head in heads]]
    cells += [[Paragraph(cell, CELL) for cell in row] for row in rows]
    rules = [
        ("LINEABOVE", (0, 0), (-1, 0), 1.0, RULE),
        ("LINEBELOW", (0, 0), (-1, 0), 0.6, RULE),
        ("LINEBELOW", (0, -1), (-1, -1), 1.0, RULE),
        ("LINEABOVE", (0, 2), (-1, -1), 0.25, colors.HexColor("#bbbbbb")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    shares = [width * WIDTH / sum(widths) for width in widths]
    return LongTable(cells, colWidths=shares, repeatRows=1, style=rules)


def printed(title: str, story: Sequence[Flowable], drawings: Sequence[Drawing], about: dict[str, str]) -> bytes:
    """The PDF of a story, with its drawings where they belong: the same bytes every time."""
    file, out = io.BytesIO(), io.BytesIO()
    Document(file, title).multiBuild(list(story))
    writer = PdfWriter(clone_from=file)
    for drawing in drawings:
        number, x, y = drawing.place
        move = Transformation().scale(drawing.scale).translate(x, y)
        writer.pages[number].merge_transformed_page(PdfReader(io.BytesIO(drawing.content)).pages[0], move)
    for page in writer.pages:
        page.compress_content_streams()
    writer.compress_identical_objects()
    writer.metadata = None
    writer.add_metadata(about)
    writer.write(out)
    return out.getvalue()
