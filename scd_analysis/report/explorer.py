"""The trajectory explorer: its frame in HTML and its data in JSON; the scripts of ``assets`` bring it to life."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import xarray as xr

from scd_analysis.report.cells import STATES
from scd_analysis.report.embed import Embedded
from scd_analysis.report.markup import Child, Markup, data, element, join
from scd_analysis.report.sections import section
from scd_analysis.report.words import count

SCRIPTS = ("elements.js", "cells.js", "grid.js", "details.js", "overview.js", "explorer.js")


def scripts() -> Markup:
    """The page's only script: all files in one scope that shares nothing with the rest."""
    parts = [(files("scd_analysis.report") / "assets" / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return Markup('(() => {\n"use strict";\n' + "\n".join(parts) + "\n})();")


def explorer_section(embedded: Embedded, trace: xr.Dataset) -> Markup:
    """Controls, grid and details of the sequences on the page."""
    return section(
        "trajectories",
        "Trajectory explorer",
        element(
            "p",
            "Passes run down, positions across; a cell is one draft and what became of it. Sequences, passes, "
            "positions and tokens are counted from 0, as in the trace.",
        ),
        _controls(embedded),
        element("p", "The explorer needs JavaScript; the rest of the page does not.", id="sequence-summary"),
        _legend(),
        element("canvas", id="overview", aria_hidden="true", hidden=True),
        _panes(),
        element("p", id="announcement", class_="unseen", role="status"),
        element("p", _left_out(embedded, trace), class_="note"),
        data(_page_data(embedded, trace), "trajectory-data"),
    )


def place_button(
    embedded: Embedded | None, sequence: int | None, position: int | None, at: int | None
) -> Markup | None:
    """A button that leads to a cell, where its sequence is on the page."""
    if embedded is None or sequence not in embedded.numbers or position is None:
        return None
    return element(
        "button",
        f"Show sequence {sequence}, position {position}",
        type="button",
        class_="goto",
        data_sequence=sequence,
        data_position=position,
        data_pass=at,
    )


def _controls(embedded: Embedded) -> Markup:
    options = [element("option", f"Sequence {number}", value=number) for number in embedded.numbers]
    buttons = [
        element("button", text, type="button", id=identifier)
        for identifier, text in (
            ("first-rejection", "First rejection"),
            ("previous-rejection", "Previous rejection"),
            ("next-rejection", "Next rejection"),
        )
    ]
    return element(
        "div",
        element("label", "Sequence", for_="sequence"),
        element("select", options, id="sequence"),
        element("div", buttons, role="group", aria_label="Rejections", class_="buttons"),
        class_="controls",
    )


def _legend() -> Markup:
    items = [
        element(
            "li",
            element("span", state.glyph, class_=f"swatch state-{state.letter}", aria_hidden="true"),
            element("span", element("strong", state.label), f": {state.meaning}"),
        )
        for state in STATES.values()
    ]
    return element("ul", items, class_="legend", aria_label="States of a draft")


def _panes() -> Markup:
    keys = (
        "Arrow keys move, Home and End go to the ends of a pass, Page Up and Page Down ten passes, with Control Home "
        "and End to the first and last pass. Enter goes to the laws of the cell, Escape comes back."
    )
    grid = element("div", id="grid", role="grid", aria_label="Passes and positions", aria_describedby="grid-keys")
    details = element(
        "div",
        element("p", "Choose a cell to see its laws."),
        id="details",
        role="region",
        aria_label="Chosen cell",
        tabindex=-1,
    )
    return join(
        element("p", keys, id="grid-keys", class_="note keys"),
        element("div", element("div", grid, id="grid-scroll"), details, class_="panes"),
    )


def _left_out(embedded: Embedded, trace: xr.Dataset) -> str:
    shown, kept = len(embedded.sequences), embedded.tokens
    cut = [one for one in embedded.sequences if len(one["base"]) < one["passes"]]
    parts = [f"On this page: {count(shown, 'sequence')} of {embedded.num_sequences:,}"]
    if embedded.left_out:
        parts.append(f"{embedded.left_out} more asked for and left out to keep the page small")
    if cut:
        parts.append("the last passes of " + ", ".join(f"sequence {one['sequence']}" for one in cut) + " are left out")
    if kept:
        parts.append(
            f"of each law, the {kept} most probable tokens under either law, the draft and its successor are kept and "
            "the others added up"
        )
        stated = trace.attrs.get("law_error")
        if stated:
            most = max(one["max"] for one in stated.values())
            parts.append(f"laws were stored as {trace.attrs['laws']}, off by a total variation of at most {most:.2g}")
    else:
        parts.append('laws were not recorded (record="laws" does that), so only their numbers are shown')
    return "; ".join(parts) + ". Numbers have three significant digits."


def _page_data(embedded: Embedded, trace: xr.Dataset) -> dict[str, Any]:
    states: dict[str, Child] = {state.letter: [state.label, state.glyph] for state in STATES.values()}
    return {
        "states": states,
        "vocabSize": int(trace.attrs["vocab_size"]),
        "numTokens": int(trace.sizes["position"]),
        "sequences": embedded.sequences,
    }
