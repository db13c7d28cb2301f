"""Time and cost against workers, by who judges, and what several judges take in sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.marks import curves
from scd_analysis.figures.style import INK, Look, panels, put_letters
from scd_analysis.figures.words import listed
from studies.gallery.exhibit import Exhibit

AUDITS = {1: ("1 judge", "#0072B2", "s", "-"), 4: ("4 judges", "#56B4E9", "o", "--"),
          16: ("16 judges", "#009E73", "^", "-."), 64: ("64 judges", "#E69F00", "v", ":")}  # fmt: skip
LOOKS = {f"audit, {count}": Look(f"audit, {words}", *rest) for count, (words, *rest) in AUDITS.items()}
LOOKS |= {"recording": Look("recording", "#CC79A7", "D", "--"), "calibration": Look("calibration", "#D55E00", "P", "-")}
FAULTS = ("#0072B2", "s", "-"), ("#E69F00", "o", "--")


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """One row a simulated time (part "time"), a measured one ("measured") and a number of judges ("judges")."""
    rows: list[dict[str, Any]] = []
    for row in result["rows"]:
        if row["kind"] == "simulated":
            what = f"audit, {row['judges']}" if row["task"] == "audit" else row["task"]
            rows.append({"part": "time", "what": what} | {k: row[k] for k in ("workers", "hours", "worker_hours")})
        elif row["kind"] == "measured":
            rows.append({"part": "measured", "what": row["task"], "workers": row["workers"], "seconds": row["seconds"]})
        elif row["kind"] == "power":
            alone = row["mean"] / row["ratio"]
            ends = {"low": row["low"] / alone, "high": row["high"] / alone}
            rows.append({"part": "judges", "what": row["task"], "judges": row["judges"], "ratio": row["ratio"]} | ends)
    return pd.DataFrame(rows)


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """Three panels."""
    return panels([["time", "cost", "judges"]], (7.2, 3.0))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Hours and hours of workers, by workers; sequences over those of one judge, by judges."""
    times = frame[frame["part"] == "time"].assign(low=np.nan, high=np.nan)
    for name, column in (("time", "hours"), ("cost", "worker_hours")):
        curves(axes[name], times.assign(value=times[column]), "workers", LOOKS, "what")
    first = times[times["what"] == "recording"].sort_values("workers")
    start, ends = first["worker_hours"].iloc[0], np.array([1, first["workers"].max()])
    axes["time"].plot(ends, start / ends, color=INK, linewidth=1, linestyle=":")
    axes["time"].set(xscale="log", yscale="log", xlabel="workers", ylabel="hours")
    axes["cost"].set(xscale="log", yscale="log", xlabel="workers", ylabel="hours of workers")
    axes["cost"].legend(fontsize=6, loc="upper left")
    rows = frame[frame["part"] == "judges"]
    looks = {what: Look(what, *of) for what, of in zip(dict.fromkeys(rows["what"]), FAULTS, strict=False)}
    curves(axes["judges"], rows.assign(value=rows["ratio"]), "judges", looks, "what", err_style="bars")
    axes["judges"].set(xscale="log", xlabel="judges", ylabel="sequences, over those of one", ylim=(0, None))
    axes["judges"].set_xticks(sorted(set(rows["judges"])), [f"{int(n)}" for n in sorted(set(rows["judges"]))])
    axes["judges"].minorticks_off()
    axes["judges"].legend(fontsize=6, loc="upper left")
    put_letters(list(axes.values()))


def gained(frame: pd.DataFrame, what: str) -> float:
    """How many times as fast two workers are as one, measured."""
    rows = frame[(frame["part"] == "measured") & (frame["what"] == what)].sort_values("workers")["seconds"]
    return float(rows.iloc[0] / rows.iloc[-1])


def least(frame: pd.DataFrame, what: str) -> tuple[float, int]:
    """The shortest time, in hours, and the fewest simulated workers that come within a tenth of it."""
    rows = frame[(frame["part"] == "time") & (frame["what"] == what)].sort_values("workers")
    shortest = float(rows["hours"].min())
    return shortest, int(rows.loc[rows["hours"] <= 1.1 * shortest, "workers"].iloc[0])


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Where the judge is the ceiling, what two workers gave here, and what several judges take."""
    floors = []
    for what, look in LOOKS.items():
        hours, workers = least(frame, what)
        floors.append(f"{look.label} {hours:.3g} h, from {workers:,} workers on")
    rows = frame[(frame["part"] == "judges") & (frame["judges"] == frame["judges"].max())]
    ratios = listed(f"{row.ratio:.2g} times as many for {row.what}" for row in rows.itertuples())
    measured = dict.fromkeys(frame.loc[frame["part"] == "measured", "what"])
    twice = listed(f"{what} {gained(frame, what):.2f}" for what in measured)
    note = f" ({settings['note']})" if settings.get("note") else ""
    return (
        f"{settings['num_tasks']:,} tasks, simulated: an audit and a recording of sequences of an image model that a "
        f"worker takes {settings['seconds_a_sequence']:g} s for (assumed), judged in the time that one core takes at "
        "V = 65,536 and N = 2,304 (measured), and a calibration's small audits as measured. Task times spread as "
        f"measured, and {settings['stragglers']:.0%} of tasks take {settings['slower']:g} times as long. (a) Shortest: "
        f"{'; '.join(floors)}; the dotted line is linear. (b) What is paid for, idle or not. (c) Judges on parts of "
        f"their own each learn anew, and their e-values multiply: {int(rows['judges'].iloc[0])} judges need {ratios}; "
        f"means of {settings['seeds']} audits with 95% intervals, over the mean of one judge. Measured on two "
        f"cores{note}, two workers were faster than one by a factor of: {twice}. Made by `{settings['command']}`."
    )


SUMMARY = "time and cost by workers and judges"
FIGURE = Exhibit(compute, layout, draw, caption, result="scaling")
