"""Tables of the page and of the paper, each from the stored frames of figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from scd_analysis.figures.store import Stored
from scd_analysis.figures.style import look
from studies.gallery import comparison

Frames = Mapping[str, Stored]
NONE = "-"
OUTCOMES = {
    "NOT_REFUTED": "not refuted",
    "REFUTED": "refuted",
    "INCONCLUSIVE": "inconclusive",
    "CONTROL_REFUTED": "control refuted",
    "RAISED": "ended with an error",
}
KINDS = {"method": "lossless", "rival": "rival"}
NOTHING = 1e-12
"""A total variation that rounding alone makes."""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    title : str
    heads : tuple of str
        A column each.
    widths : tuple of float
        Of the columns, as shares of the paper's width.
    needs : tuple of str
        Figures whose frames it is made from; without them all it is left out.
    rows : callable
        From frames to cells; one of the last column is the name of a figure where ``links`` is true.
    links : bool
    after : callable
        From frames to what is said below it.
    """

    title: str
    heads: tuple[str, ...]
    widths: tuple[float, ...]
    needs: tuple[str, ...]
    rows: Callable[[Frames], list[tuple[str, ...]]]
    links: bool = False
    after: Callable[[Frames], str] = lambda _: ""


def published(frames: Frames) -> list[tuple[str, ...]]:
    """Every quantity that the papers report, and what stands here for it."""
    return [
        (one.where, one.quantity, one.published, one.measured, one.agrees or NONE, one.figure)
        for one in comparison.lines(frames)
    ]


def reading(frames: Frames) -> str:
    """How many statements hold."""
    stated = [one for one in comparison.lines(frames) if one.agrees]
    words = (comparison.YES, comparison.UNSURE, comparison.NO)
    yes, unsure, no = (sum(one.agrees == word for one in stated) for word in words)
    return (
        f"Of {len(stated)} statements that can be tested here, {yes} hold, {unsure} hold within noise and {no} do not. "
        "Numbers are not compared: the models differ."
    )


def verdicts(frames: Frames) -> list[tuple[str, ...]]:
    """Who claims or is taken to sample from a law, and what the audit says: methods, rivals and released engines."""
    return [*_of_rules(frames["verdict_table"].frame), *_of_engines(frames["engines_judged"].frame.fillna(""))]


def _of_rules(frame: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    for row in frame[frame["kind"] != "fault"].to_dict("records"):
        distance = row["exact_total_variation"]
        tokens, trace = (_said(row[f"{grade}_outcome"], row[f"{grade}_sequences"]) for grade in ("samples", "trace"))
        size, named = "0" if abs(distance) < NOTHING else f"{distance:.2g}", str(row["trace_condition"]) or NONE
        yield look(row["rule"]).label, KINDS[row["kind"]], size, tokens, trace, named


def _of_engines(frame: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    for (engine, mode), own in frame.groupby(["engine", "mode"], sort=False):
        causes = dict.fromkeys(cause.partition(":")[0] for cause in own.loc[own["outcome"] == "REFUTED", "cause"])
        tokens, pair = _counted(own["outcome"]), _counted(own["pair"])
        yield f"{engine}, {mode}", "engine", NONE, tokens, pair, "; ".join(causes) or NONE


def _said(outcome: str, sequences: float) -> str:
    return f"{OUTCOMES[outcome]}, {sequences:,.0f}"


def _counted(outcomes: pd.Series) -> str:
    asked = outcomes[outcomes != ""]
    return ", ".join(f"{OUTCOMES[name]} {n} of {len(asked)}" for name, n in Counter(asked).items()) or NONE


VERDICTS = Table(
    "Claimed, and found by the audit",
    ("who", "kind", "exact TV", "tokens", "trace, or on against off", "named"),
    (1.5, 0.6, 0.6, 1.4, 1.4, 1.8),
    ("verdict_table", "engines_judged"),
    verdicts,
)
PUBLISHED = Table(
    "Published and measured here",
    ("paper's model", "quantity", "published", "measured here", "agrees", "figure"),
    (1.15, 1.45, 1.3, 2.1, 0.6, 0.5),
    (),
    published,
    links=True,
    after=reading,
)
TABLES = {"verdicts": VERDICTS, "published": PUBLISHED}
"""By the name that the story has for them."""
