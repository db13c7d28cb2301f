"""The page of many nights: ln E and the refuted epsilon of every subject, each beside the table of its numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from scd_analysis.audit.verdict import Outcome
from scd_analysis.common.escape import mathtext
from scd_analysis.common.files import Kind, check_output, write_file
from scd_analysis.report.charts import Chart
from scd_analysis.report.markup import Child, Markup, element, join
from scd_analysis.report.nights import Night, Nights, read_nights
from scd_analysis.report.page import body, document
from scd_analysis.report.sections import facts, section
from scd_analysis.report.svg import BLUE, ORANGE, PAPER, PURPLE, RED, chart, inline
from scd_analysis.report.tables import table
from scd_analysis.report.words import MARK, WORD, count, nats, number
from scd_analysis.testing.rates import rounded_up

LABELS = 8
"""Nights that are named along a chart, at most; all are in the table."""

WORST = (Outcome.REFUTED, Outcome.CONTROL_REFUTED, None, Outcome.INCONCLUSIVE, Outcome.NOT_REFUTED, Outcome.EXACT)
"""Outcomes from the worst on; None where there is no verdict, of which nobody may be glad."""

NONE = "No verdict"


def render_trend(source: str | Path | Nights, *, title: str | None = None) -> str:
    """Make the page of a trend over nights.

    Parameters
    ----------
    source : path or Nights
        See :func:`scd_analysis.report.nights.read_nights`.
    title : str, optional
        What it is of; by default the name of the folder or the file.

    Returns
    -------
    str
        One HTML document that loads nothing and runs no script.

    Raises
    ------
    InputError
        As :func:`scd_analysis.report.nights.read_nights`.
    """
    nights = source if isinstance(source, Nights) else read_nights(source)
    name = title or ("the subjects" if isinstance(source, Nights) else Path(source).resolve().name)
    sections = [
        section(f"subject-{i}", subject, *_of_subject(f"subject-{i}", nights.names, row))
        for i, (subject, row) in enumerate(nights.subjects.items())
    ]
    links = {subject: f"subject-{i}" for i, subject in enumerate(nights.subjects)}
    about = element("p", "SCD Analysis trend of ", element("strong", name), class_="about")
    headline = WORD[worst] if (worst := worst_of(nights)) is not None else NONE
    return document(f"{headline}: {name}", body(about, links, join(_banner(nights), *sections)))


def write_trend(path: str | Path, source: str | Path, *, title: str | None = None) -> Path:
    """Write the page of a trend over nights; the file is there whole or not at all.

    Parameters
    ----------
    path : path
        Of the HTML file, in a folder that exists and is not the source.
    source, title
        See :func:`render_trend`.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        As :func:`scd_analysis.common.files.check_output`, or as :func:`render_trend`.
    """
    check_output(path, Kind.REPORT, "output", inputs=[source])
    return write_file(path, render_trend(source, title=title), Kind.REPORT, "output")


def worst_of(nights: Nights) -> Outcome | None:
    """The worst outcome of the last night; None where a subject has no verdict and none is refuted."""
    found = {_outcome(row[-1]) for row in nights.subjects.values()}
    return next(outcome for outcome in WORST if outcome in found)


def _outcome(night: Night | None) -> Outcome | None:
    return None if night is None else night.outcome


def _banner(nights: Nights) -> Markup:
    """The last night in one sentence, and what all of them may have got wrong."""
    worst = worst_of(nights)
    like = sum(_outcome(row[-1]) is worst for row in nights.subjects.values())
    word, mark = (NONE, "–") if worst is None else (WORD[worst], MARK[worst])
    said = f": {like:,} of {count(len(nights.subjects), 'subject')} in the last night, {nights.names[-1]}"
    alarm = (
        " (a lossless decoder is refuted in any of these nights with probability at most "
        f"{rounded_up(nights.false_fail_rate)})."
    )
    sentence = element(
        "h1",
        element("span", element("span", f"{mark} ", aria_hidden="true"), word, class_="outcome"),
        said,
        element("span", alarm, class_="alarm"),
    )
    rows: dict[str, Child] = {"Nights": f"{len(nights.names):,}", "Subjects": f"{len(nights.subjects):,}"}
    verdicts = [_outcome(one) for row in nights.subjects.values() for one in row]
    for outcome in WORST:
        if many := verdicts.count(outcome):
            rows[NONE if outcome is None else WORD[outcome]] = f"{many:,}"
    kind = "inconclusive" if worst is None else worst.name.lower().replace("_", "-")
    return join(element("div", sentence, class_=f"banner {kind}"), facts(rows))


def _of_subject(identifier: str, names: tuple[str, ...], row: tuple[Night | None, ...]) -> list[Child]:
    """Its charts, and beside them the table that holds their numbers."""
    charts = [evidence(identifier, names, row), size(identifier, names, row)]
    drawn = [element("figure", element("h3", one.title), one.svg, element("figcaption", one.caption)) for one in charts]
    headings = ("Night", "Verdict", "ln E", "ln(1/α)", "Refuted epsilon", "Resolution", "Sequences")
    rows = [_row(name, one) for name, one in zip(names, row, strict=True)]
    numbers = element(
        "div",
        table("All nights, the last one first.", headings, reversed(rows)),
        class_="scroll",
        tabindex=0,
        role="group",
        aria_label="Numbers of all nights",
    )
    return [element("div", element("div", *drawn), numbers, class_="beside")]


def _row(name: str, night: Night | None) -> tuple[Child, ...]:
    if night is None:
        return (name, NONE, *("–" for _ in range(5)))
    mark = element("span", f"{MARK[night.outcome]} ", aria_hidden="true")
    return (
        name,
        join(mark, WORD[night.outcome]),
        "–" if night.log_e_value is None else nats(night.log_e_value),
        nats(_threshold(night)),
        number(night.epsilon_refuted),
        number(night.resolution),
        f"{night.num_sequences:,}",
    )


def _threshold(night: Night) -> float:
    """ln(1/alpha), which refutes; not a number where a law was enumerated."""
    return math.log(1 / night.alpha) if night.alpha else math.nan


def evidence(identifier: str, names: tuple[str, ...], row: tuple[Night | None, ...]) -> Chart:
    """What ln E came to, night after night, with the line that refutes."""
    value = [math.nan if one is None or one.log_e_value is None else one.log_e_value for one in row]
    threshold = [math.nan if one is None else _threshold(one) for one in row]
    frame = pd.DataFrame({"night": names, "ln E": value, "ln(1/α)": threshold})
    title, finite = "ln E over nights", frame["ln E"].replace([math.inf, -math.inf], math.nan)
    if frame["ln E"].isna().all():
        return Chart(title, "Nothing to show: ln E was not kept.", None, frame)
    impossible = np.flatnonzero(np.isposinf(frame["ln E"]))
    refuted = np.flatnonzero([_outcome(one) is Outcome.REFUTED for one in row])
    with chart() as (canvas, ax):
        ax.plot(finite, color=BLUE, marker=".", label="ln E")
        ax.plot(frame["ln(1/α)"], color=RED, linestyle="--", linewidth=1.4, marker="_", label="ln(1/α): refuted")
        top = max([1.0, *finite.dropna(), *frame["ln(1/α)"].dropna()])
        crosses = finite.fillna(top).iloc[refuted]
        if len(refuted):
            ax.plot(refuted, crosses, color=RED, marker="x", linestyle="", label="refuted night")
        if len(impossible):
            ax.plot(impossible, [top] * len(impossible), color=ORANGE, marker="^", linestyle="", label="ln E = ∞")
        _nights(ax, names, "ln E (nats)")
        said = f"{count(len(refuted), 'night')} of {len(names):,} refuted"
        svg = inline(canvas, f"{identifier}-evidence", title, f"{said}; the numbers are in the table beside it.")
    caption = (
        f"The logarithm of the wealth of bets against the subject when each night's audit ended: {said}. A lossless "
        "subject is refuted in one night with probability at most α; other nights need other seeds, or they say the "
        "same again."
    )
    return Chart(title, caption, svg, frame)


def size(identifier: str, names: tuple[str, ...], row: tuple[Night | None, ...]) -> Chart:
    """The largest epsilon that was refuted, night after night, with the one that is allowed."""
    value = [math.nan if one is None or one.epsilon_refuted is None else one.epsilon_refuted for one in row]
    allowed = [math.nan if one is None else one.epsilon for one in row]
    frame = pd.DataFrame({"night": names, "refuted epsilon": value, "epsilon": allowed})
    title = "Refuted epsilon over nights"
    if frame["refuted epsilon"].isna().all():
        return Chart(title, "Nothing to show: no epsilon was asked about.", None, frame)
    with chart() as (canvas, ax):
        ax.plot(frame["refuted epsilon"], color=PURPLE, marker="o", markerfacecolor=PAPER, label="refuted epsilon")
        if frame["epsilon"].max() > 0:
            ax.plot(frame["epsilon"], color=RED, linestyle="--", linewidth=1.4, marker="_", label="allowed")
        _nights(ax, names, "total variation of a token's law")
        ax.set_ylim(0, None)
        largest = number(float(frame["refuted epsilon"].max()))
        svg = inline(canvas, f"{identifier}-size", title, f"At most {largest}; the numbers are in the table beside it.")
    caption = (
        f"The law of some token is further than this from the target's, with confidence 1 − α a night; {largest} at "
        "most so far. Zero where none was refuted."
    )
    return Chart(title, caption, svg, frame)


def _nights(ax: Axes, names: tuple[str, ...], label: str) -> None:
    """Name nights along a chart, evenly and the last one in any case."""
    step = -(-len(names) // LABELS)
    ticks = list(range(len(names) - 1, -1, -step))
    ax.set_xticks(ticks, [mathtext(names[i]) for i in ticks], rotation=30, ha="right")
    ax.set(xlim=(-0.5, len(names) - 0.5), ylabel=label)
    ax.legend(loc="best")
