"""Tables that stay tables to a screen reader and become cards on a phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from scd_analysis.report.charts import Chart
from scd_analysis.report.markup import Child, Markup, element
from scd_analysis.report.words import number

ROWS = 60
"""Of the numbers behind a figure; longer frames are thinned evenly."""


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[Child]], *, stacked: bool = True) -> Markup:
    """Make a table whose first column heads its rows.

    Parameters
    ----------
    caption : str
    headings : sequence of str
    rows : iterable of sequences
        Cells, as text or markup.
    stacked : bool
        Whether rows become cards where the page is narrow; roles are written out because that would take them away.
    """
    head = element("tr", [element("th", text, scope="col", role="columnheader") for text in headings], role="row")
    body = [element("tr", _cells(headings, row), role="row") for row in rows]
    return element(
        "table",
        element("caption", caption),
        element("thead", head, role="rowgroup"),
        element("tbody", body, role="rowgroup"),
        class_="stacked" if stacked else "narrow",
        role="table",
    )


def _cells(headings: Sequence[str], row: Sequence[Child]) -> list[Markup]:
    first, *others = row
    named = zip(headings[1:], others, strict=True)
    head = element("th", first, scope="row", role="rowheader")
    return [head, *(element("td", cell, role="cell", data_label=heading) for heading, cell in named)]


def numbers(frame: pd.DataFrame, caption: str) -> Markup:
    """A frame of numbers, thinned where it is long."""
    step = -(-len(frame) // ROWS)
    kept = frame.iloc[::step] if step > 1 else frame
    rows = [[number(float(value), 4) for value in row] for row in kept.itertuples(index=False)]
    thinned = f", every {step}th row" if step > 1 else ""
    return table(caption + thinned, list(map(str, frame.columns)), rows, stacked=len(frame.columns) > 4)


def figure(chart: Chart, *, headed: bool = True) -> Markup:
    """A chart with its caption, and its numbers to unfold; ``headed`` unless its section has the same heading."""
    heading = element("h3", chart.title) if headed else None
    if chart.svg is None:
        return element("figure", heading, element("figcaption", chart.caption), class_="absent")
    unfold = element(
        "details",
        element("summary", "Numbers behind the figure", element("span", f": {chart.title}", class_="unseen")),
        element(
            "div",
            numbers(chart.frame, chart.title),
            class_="scroll",
            tabindex=0,
            role="group",
            aria_label=f"Numbers: {chart.title}",
        ),
    )
    return element("figure", heading, chart.svg, element("figcaption", chart.caption), unfold)
