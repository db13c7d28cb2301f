"""The whole page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from scd_analysis.audit.pair_verdict import PairVerdict
from scd_analysis.audit.verdict import Verdict
from scd_analysis.common.files import MADE_BY, Kind, check_output, write_file
from scd_analysis.errors import InputError
from scd_analysis.figures.base import Run
from scd_analysis.report import charts, sections
from scd_analysis.report.embed import Embedded, embed
from scd_analysis.report.explorer import explorer_section, place_button, scripts
from scd_analysis.report.load import read_trace, read_verdict
from scd_analysis.report.markup import Child, Markup, element, join
from scd_analysis.report.outcomes import worst_section
from scd_analysis.report.words import WORD
from scd_analysis.report.worst import by_position
from scd_analysis.trace.summary import summarise
from scd_analysis.version import __version__

STYLES = ("page.css", "explorer.css")


def render(
    verdict: Verdict | Mapping[str, Any] | None = None,
    trace: xr.Dataset | str | Path | None = None,
    *,
    sequences: int | Sequence[int] = 8,
    title: str | None = None,
) -> str:
    """Make the report of a verdict, a trace, or both.

    Parameters
    ----------
    verdict : Verdict or mapping, optional
        What :func:`scd_analysis.audit` returned, or the object parsed from its JSON.
    trace : xarray.Dataset or path, optional
        That the verdict is about, or by itself.
    sequences : int or sequence of int
        Shown by the explorer: how many from the first on, or which. The one that the diagnosis points at is added;
        where they do not fit, laws are cut shorter, then sequences left out, and the page says so.
    title : str, optional
        What the subject is called; by default what the trace says.

    Returns
    -------
    str
        One HTML document that loads nothing, below 5 MB.

    Raises
    ------
    InputError
        If neither is given, the verdict is not one, or a sequence does not exist; ``TraceError`` for a bad trace.
    """
    if verdict is None and trace is None:
        raise InputError("verdict = None, trace = None: a report needs one of them")
    judged = None if verdict is None else read_verdict(verdict)
    run = None if trace is None else read_trace(trace)
    name = title or (run.label if run is not None else "the subject")
    parts = _parts(judged, run, sequences, name)
    what = "Trace" if judged is None else WORD[judged.outcome]
    return document(f"{what}: {name}", _body(parts, name, run), scripts())


def write_report(
    path: str | Path,
    verdict: Verdict | Mapping[str, Any] | None = None,
    trace: xr.Dataset | str | Path | None = None,
    *,
    sequences: int | Sequence[int] = 8,
    title: str | None = None,
) -> Path:
    """Write the report of a verdict, a trace, or both; the file is there whole or not at all.

    Parameters
    ----------
    path : path
        Of the HTML file, in a folder that exists.
    verdict, trace, sequences, title
        See :func:`render`.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        As :func:`scd_analysis.common.files.check_output`, or as :func:`render`.
    """
    check_output(path, Kind.REPORT, inputs=[trace] if isinstance(trace, str | Path) else [])
    return write_file(path, render(verdict, trace, sequences=sequences, title=title), Kind.REPORT)


def _parts(verdict: Verdict | None, run: Run | None, sequences: int | Sequence[int], name: str) -> list[Markup]:
    """Banner and sections, in the order of the page."""
    summary = None if run is None else summarise(run.trace)
    frame = None if run is None else by_position(run.trace)
    embedded = None if run is None else embed(run.trace, sequences, _pointed_at(verdict, run.trace))
    parts: list[Markup | None] = []
    if verdict is not None:
        parts += [sections.verdict_banner(verdict, name), sections.verdict_facts(verdict)]
        if verdict.diagnosis is not None:
            parts.append(sections.diagnosis_section(verdict.diagnosis, _place(verdict, run, embedded)))
        if verdict.greedy is not None:
            parts.append(sections.greedy_section(verdict.greedy))
        parts.append(sections.evidence_section(verdict))
        if isinstance(verdict, PairVerdict):
            parts.append(sections.control_section(verdict))
        else:
            parts.append(sections.conditions_section(verdict.conditions))
    elif summary is not None:
        parts.append(sections.trace_banner(name, summary))
    parts.append(worst_section(verdict, frame))
    if run is not None and embedded is not None and summary is not None and frame is not None:
        drawn = [charts.acceptance(run), charts.collision(run), charts.variation(frame), charts.commits(run.trace)]
        parts += [explorer_section(embedded, run.trace), sections.figures_section(summary, drawn)]
    parts.append(sections.origin_section(verdict, None if run is None else run.trace))
    return [part for part in parts if part is not None]


def _pointed_at(verdict: Verdict | None, trace: xr.Dataset) -> int | None:
    """The sequence of the trace at which the fault was first seen; an audit of a trace passes over unfinished ones."""
    if verdict is None or verdict.diagnosis is None or verdict.diagnosis.first_seen is None:
        return None
    finished = np.flatnonzero(trace["tokens"].notnull().all("position").values)
    seen = verdict.diagnosis.first_seen
    return int(finished[seen]) if seen < len(finished) else None


def _place(verdict: Verdict, run: Run | None, embedded: Embedded | None) -> Markup | None:
    if run is None or verdict.diagnosis is None:
        return None
    at = _pointed_at(verdict, run.trace)
    return place_button(embedded, at, verdict.diagnosis.position, verdict.diagnosis.iteration)


def document(title: str, body: Markup, script: str | None = None) -> str:
    """Make a page of its body; nothing is loaded, and no script is run but the one that is stated."""
    allowed = ""
    if script is not None:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        allowed = f"script-src 'sha256-{digest}'; "
    policy = f"default-src 'none'; style-src 'unsafe-inline'; {allowed}base-uri 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=MADE_BY),
        element("title", f"{title} – SCD Analysis"),
        element("style", Markup("\n".join(_asset(name) for name in STYLES))),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en")


def _asset(name: str) -> str:
    return (files("scd_analysis.report") / "assets" / name).read_text(encoding="utf-8")


def _body(parts: list[Markup], name: str, run: Run | None) -> Markup:
    known = {
        "diagnosis": "What broke",
        "greedy": "Greedy decoding",
        "evidence": "Evidence",
        "conditions": "Conditions",
        "control": "Control",
        "worst": "Worst outcomes",
        "trajectories": "Trajectories",
        "figures": "Figures",
        "origin": "Origin",
    }
    whole = join(parts)
    links = {label: key for key, label in known.items() if f'<section id="{key}"' in whole}
    about: list[Child] = [element("strong", name)]
    if run is not None:
        attributes = run.trace.attrs
        about += [f" · model {attributes['model']}"] if attributes.get("model") else []
        about += [f" · window {run.window}"]
    said = element("p", "SCD Analysis report on ", *about, class_="about")
    return body(said, links, whole, element("script", scripts()) if run is not None else None)


def body(about: Markup, links: Mapping[str, str], main: Markup, *end: Child) -> Markup:
    """Make the body of a page: what it is about, links to its sections by their labels, and the sections."""
    items = [element("li", element("a", label, href=f"#{key}")) for label, key in links.items()]
    return element(
        "body",
        element("a", "Skip to the report", href="#report", class_="skip"),
        element("header", about, element("nav", element("ul", items), aria_label="Sections")),
        element("main", main, id="report"),
        element(
            "footer",
            element("p", f"Made by SCD Analysis {__version__}. Nothing on this page was loaded from elsewhere."),
        ),
        *end,
    )
