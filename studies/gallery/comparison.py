"""Published beside measured: every quantity that the papers report, what stands here for it, and whether they agree.

What is measured comes from the stored frames of figures, so that a number here is one that a figure shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from scd_analysis.figures.base import Settings
from scd_analysis.figures.store import Stored
from scd_analysis.figures.style import look
from scd_analysis.figures.words import with_ends
from studies.gallery.plots import gain_in_time, where_time_goes
from studies.gallery.reported import (
    COSMOS,
    JANUS,
    LUMINA,
    PAC,
    SAMPLER_MS,
    SCD_GAINS_UP_TO,
    SJD_CHANGES,
    SJD_GAINS_UP_TO,
    SJD_SINGLE,
    STATEMENTS,
    Published,
    Table,
)

Frames = Mapping[str, Stored]
Judge = Callable[[pd.DataFrame], tuple[str, str]]
"""From the frame of a figure to what is measured, in words, and whether a statement agrees."""

NOT_MADE = "not drawn here"
NOT_MEASURED = "not measured here"
YES, NO, UNSURE, OPEN = "yes", "no", "within noise", ""


@dataclass(frozen=True)
class Line:
    """One quantity.

    Attributes
    ----------
    where : str
        Model and data of the paper.
    quantity : str
        What is compared.
    published, measured : str
        Numbers, ours with their 95% intervals.
    agrees : str
        Whether the statement, or the order of methods, is the same; empty where only the number differs, as it must.
    figure : str
        That shows what is measured.
    """

    where: str
    quantity: str
    published: str
    measured: str
    agrees: str = OPEN
    figure: str = ""


def lines(frames: Frames) -> list[Line]:
    """Every quantity, in the order of the papers' tables and then of what they state."""
    out = []
    for table in (LUMINA, JANUS):
        out += [*_passes(table, frames), *_seconds(table, frames), *_quality(table, frames)]
    out += [*_video(frames), *_seconds(COSMOS, {}), *_quality(COSMOS, {})]
    out += [_stated(frames, *one) for one in STATED]
    return [*out, *_continuation(frames), *_sampler(frames)]


def _stated(frames: Frames, where: str, what: str, published: str, figure: str, judge: Judge) -> Line:
    """What a figure says of a statement, if it was drawn."""
    measured, agrees = judge(frames[figure].frame) if figure in frames else (NOT_MADE, OPEN)
    return Line(where, what, published, measured, agrees, figure)


def _frame(frames: Frames, name: str) -> pd.DataFrame | None:
    return frames[name].frame if name in frames else None


def _name(row: Published) -> str:
    return "GSD (lossy)" if row.method == "gsd" else look(row.method).label


def _passes(table: Table, frames: Frames) -> Iterator[Line]:
    """Speed-ups; passes themselves depend on how many tokens an image has."""
    name = "speedup_by_window"
    sweep, rivals = _frame(frames, name), _frame(frames, "methods_compared")
    sampled = _frame(frames, "sample_grids")
    passes = NOT_MADE if sampled is None else f"{sampled.loc[sampled['method'] == 'ar', 'nfe'].mean():g}, one a token"
    yield Line(table.model, "passes, AR", f"{table.rows[0].nfe:g}", passes, OPEN, "sample_grids")
    for row in table.rows[1:]:
        said = f"{row.nfe:g} passes of {table.rows[0].nfe:g}: {row.speedup:.2f} times"
        measured, figure, quantity = NOT_MADE, name, f"speed-up, {_name(row)}"
        if row.method == "gsd":
            figure, said = "methods_compared", f"{row.nfe:g} passes: about {row.speedup:g} times"
            if rivals is not None:
                own = rivals[rivals["method"] == "grouped-acceptance"].iloc[0]
                measured = f"{own['speedup']:.2f} [{own['speedup_low']:.2f}, {own['speedup_high']:.2f}]"
        else:
            quantity += f", window {row.window}"
            if sweep is not None:
                measured = _at(sweep, row.method, row.window or 0)
        yield Line(table.model, quantity, said, measured, OPEN, figure)


def _at(sweep: pd.DataFrame, method: str, window: int) -> str:
    rows = sweep[(sweep["method"] == method) & (sweep["window"] == window)]
    return with_ends(next(rows.itertuples())) if len(rows) else NOT_MEASURED


def _seconds(table: Table, frames: Frames) -> Iterator[Line]:
    """Seconds of other machines and models: only gains over one token a pass are of one kind."""
    timed = [(row, row.seconds) for row in table.rows if row.seconds is not None]
    base = next((seconds for row, seconds in timed if row.method == "ar"), None)
    found = [
        f"{_name(row)} {seconds:g}" + (f" ({base / seconds:.2f} times)" if base and row.window else "")
        for row, seconds in timed
    ]
    at = [(row.method, row.window) for row, _ in timed if row.window is not None]
    name, measured = "gain_in_time", ""
    if name in frames:
        frame, settings = frames[name].frame, frames[name].settings
        said = [gain_in_time.seconds(frame, int(batch), at) for batch in gain_in_time.batches(frame)]
        measured = f"{_machine(settings)}: {'; '.join(said)}" if all(said) else ""
    quantity, place = f"seconds a sequence, window {at[0][1]}", name if measured else ""
    yield Line(table.model, quantity, f"A100: {', '.join(found)}", measured or NOT_MEASURED, OPEN, place)


def _machine(settings: Settings) -> str:
    """Model and machine of what was timed here."""
    return f"{settings['model']}, {str(settings['device']).upper()} with {settings['threads']} threads"


def _quality(table: Table, frames: Frames) -> Iterator[Line]:
    """For FID, which small models do not have: the distance from the target law itself."""
    found = [f"{_name(row)} {row.quality:.2f}" for row in table.rows if row.quality is not None]
    compared, parts = _frame(frames, "methods_compared"), []
    own = {"gsd": "grouped-acceptance"}
    for row in table.rows if compared is not None else ():
        assert compared is not None
        method = own.get(row.method, row.method)
        mine = compared[compared["method"] == method].set_index("kind")
        if row.quality is not None and len(mine):
            bits = with_ends(next(mine.loc[["excess_bits"]].itertuples()))
            exact = float(mine["value"].to_dict()["exact"])
            parts.append(f"{_name(row)} {exact:.2g}, {bits}")
    measured = f"exact TV, excess bits a token: {'; '.join(parts)}" if parts else NOT_MEASURED
    yield Line(table.model, table.score, ", ".join(found), measured, OPEN, "methods_compared" if parts else "")


def _video(frames: Frames) -> Iterator[Line]:
    frame = _frame(frames, "image_video")
    length = None if frame is None else frame.loc[frame["model"] == "video", "num_tokens"].max()
    tokens = NOT_MEASURED if length is None else f"{length:g}, one a token"
    place = "" if frame is None else "image_video"
    yield Line(COSMOS.model, "passes, AR", f"{COSMOS.rows[0].nfe:g}", tokens, OPEN, place)
    for row in COSMOS.rows[1:]:
        measured = NOT_MEASURED
        if frame is not None:
            rows = frame[(frame["model"] == "video") & (frame["method"] == row.method)]
            last = rows[rows["window"] == rows["window"].max()]
            measured = "; ".join(f"{with_ends(one)} at window {one.window}" for one in last.itertuples())
        said = f"{row.nfe:g} passes of {COSMOS.rows[0].nfe:g}: {row.speedup:g} times"
        what = f"speed-up, {_name(row)}, window {row.window}"
        yield Line(COSMOS.model, what, said, measured or NOT_MEASURED, OPEN, place)


def _sjd_stops(frame: pd.DataFrame) -> tuple[str, str]:
    """No later window is faster than the first beyond both intervals."""
    said, rows = _along(frame[frame["window"] >= SJD_GAINS_UP_TO], "sjd")
    return said, NO if (rows["low"].iloc[1:] > rows["high"].iloc[0]).any() else YES


def _scd_keeps(frame: pd.DataFrame) -> tuple[str, str]:
    """Every window of those that are wide enough is faster than the one before it."""
    every = [_along(frame[frame["window"] >= SJD_GAINS_UP_TO], method) for method in ("scd-mc", "scd-gs")]
    grows = [rows.loc[rows["window"] <= SCD_GAINS_UP_TO, "value"].diff().iloc[1:] > 0 for _, rows in every]
    return "; ".join(said for said, _ in every), YES if all(rising.all() for rising in grows) else NO


def _along(frame: pd.DataFrame, method: str) -> tuple[str, pd.DataFrame]:
    """A method's speed-ups by window, in words and in order."""
    rows = frame[frame["method"] == method].sort_values("window")
    return f"{look(method).label} {', '.join(f'{with_ends(row)} at {row.window}' for row in rows.itertuples())}", rows


def _from_uniform(frame: pd.DataFrame) -> tuple[str, str]:
    """The same with first drafts that know nothing, where a longer window has more to mend."""
    return _scd_keeps(frame[frame["initial"] == "uniform"])


def _changed(frame: pd.DataFrame) -> tuple[str, str]:
    return with_ends(next(frame[(frame["method"] == "sjd") & (frame["lag"] == 1)].itertuples())), OPEN


def _single(frame: pd.DataFrame) -> tuple[str, str]:
    rows = frame[(frame["method"] == "sjd") & (frame["kind"] == "share") & (frame["tokens"] == 1)]
    return with_ends(next(rows.itertuples())), OPEN


def _alpha(frame: pd.DataFrame) -> tuple[str, str]:
    parts, falls = [], True
    for method, rows in frame.sort_values("alpha").groupby("method", sort=False):
        said = ", ".join(f"{row.value:.1f} [{row.low:.1f}, {row.high:.1f}]" for row in rows.itertuples())
        parts.append(f"{look(str(method)).label} {said}")
        falls &= bool((rows["value"].diff().iloc[1:] < 0).all())
    at = ", ".join(f"{alpha:g}" for alpha in sorted(frame["alpha"].unique()))
    return f"at {at}: {'; '.join(parts)} passes", YES if falls else NO


def _lower_at(lags: Sequence[int], lower: str, other: str) -> Judge:
    """Whether a coupling has the lower distance at each of these lags, beyond its intervals."""

    def judge(frame: pd.DataFrame) -> tuple[str, str]:
        parts, verdicts = [], []
        for lag in lags:
            rows = frame[frame["lag"] == lag].set_index("method")
            said = [f"{look(m).label} {with_ends(next(rows.loc[[m]].itertuples()), 3)}" for m in ("scd-mc", "scd-gs")]
            parts.append(f"lag {lag}: {', '.join(said)}")
            less, more = rows.loc[lower], rows.loc[other]
            apart = less["high"] < more["low"]
            verdicts.append(YES if apart else UNSURE if less["value"] < more["value"] else NO)
        return "; ".join(parts), _least(verdicts)

    return judge


def _least(verdicts: Sequence[str]) -> str:
    return next(verdict for verdict in (NO, UNSURE, YES) if verdict in verdicts)


def _guidance(frame: pd.DataFrame) -> tuple[str, str]:
    parts, verdicts = [], []
    for method, rows in frame[frame["kind"] == "speedup"].sort_values("setting").groupby("method", sort=False):
        first, last, most = rows.iloc[0], rows.iloc[-1], int(rows["value"].to_numpy().argmax())
        shown = rows.iloc[sorted({0, most, len(rows) - 1})]
        said = ", ".join(f"{with_ends(row)} at {row.setting:g}" for row in shown.itertuples())
        parts.append(f"{look(str(method)).label} {said}")
        weaker, stronger = last["high"] < first["low"], rows["low"].max() > first["high"]
        verdicts.append(NO if stronger or last["value"] >= first["value"] else YES if weaker else UNSURE)
    return "; ".join(parts), _least(verdicts)


def _rising(frame: pd.DataFrame) -> tuple[str, str]:
    rows = frame[frame["kind"] == "risers"].set_index("law")
    said = {law: with_ends(next(rows.loc[[law]].itertuples())) for law in ("verified", "correct", "chance")}
    measured = f"it rose for {said['verified']} of verified, {said['correct']} of correct, by chance {said['chance']}"
    return measured, YES if rows.loc[["verified", "correct"], "low"].min() > rows.loc["chance", "high"] else NO


_KEEPS = f"SCD keeps improving up to window {SCD_GAINS_UP_TO}"
_STOPS = f"SJD stops improving beyond window {SJD_GAINS_UP_TO}"
_CHANGES = "share of SJD's window tokens that change each iteration"
_ONE = "share of SJD's passes that commit one token"
STATED: tuple[tuple[str, str, str, str, Judge], ...] = (
    ("SCD paper", _STOPS, "stated", "speedup_by_window", _sjd_stops),
    ("SCD paper", _KEEPS, "stated", "speedup_by_window", _scd_keeps),
    ("SCD paper", f"{_KEEPS}: first drafts uniform", "stated", "initial_drafts", _from_uniform),
    ("SCD paper", _CHANGES, f"about {SJD_CHANGES:.2f}", "hamming_by_lag", _changed),
    ("reported of SJD", _ONE, f"about {SJD_SINGLE:g}", "acceptance_lengths", _single),
    ("SCD paper", STATEMENTS["alpha"], "stated", "coupling_alpha", _alpha),
    ("SCD paper", STATEMENTS["lag 1"], "stated", "hamming_by_lag", _lower_at((1,), "scd-mc", "scd-gs")),
    ("SCD paper", STATEMENTS["lags 2 and 3"], "stated", "hamming_by_lag", _lower_at((2, 3), "scd-gs", "scd-mc")),
    ("SCD paper", STATEMENTS["guidance"], "stated", "guidance", _guidance),
    ("SJD-VP", STATEMENTS["verification prediction"], "stated", "vp_motivation", _rising),
)
"""What is stated: where, what and how, the figure that shows it, and who judges by its frame."""


def _continuation(frames: Frames) -> Iterator[Line]:
    """SJD-PAC: the paper's numbers are of the whole method, of which one half is here."""
    name, measured = "methods_compared", NOT_MADE
    if name in frames:
        rows = frames[name].frame
        rows = rows[(rows["method"] == PAC.method) & (rows["kind"] == "exact")]
        for own in rows.to_dict("records"):
            gain = f"{own['speedup']:.2f} [{own['speedup_low']:.2f}, {own['speedup_high']:.2f}]"
            measured = f"adaptive continuation alone: {gain} in passes, exact TV {own['value']:.2g}"
    said = f"{PAC.passes:g} in passes, {PAC.seconds:.2f} in seconds, FID {PAC.fid:g}"
    yield Line(f"{PAC.model}, SJD-PAC's own base", "speed-up, SJD-PAC, whole method", said, measured, OPEN, name)


def _sampler(frames: Frames) -> Iterator[Line]:
    """What one pass is made of; here as shares of a whole decode, which has bookkeeping too."""
    whole = sum(SAMPLER_MS.values())
    found = ", ".join(f"{what} {value:g} ({value / whole:.1%})" for what, value in SAMPLER_MS.items())
    name, measured = "where_time_goes", NOT_MEASURED
    if name in frames:
        frame = frames[name].frame
        rows = frame[frame["part"].isin(where_time_goes.PARTS)]
        own = rows.iloc[0]
        shares = [
            f"{kind.removeprefix('parts, ')}: {where_time_goes.shares(frame, kind)}"
            for kind in where_time_goes.decodes(frame)
        ]
        measured = (
            f"share of the time of {look(own['method']).label}, {_machine(frames[name].settings)}, window "
            f"{own['window']}, batch of {own['batch']}: {'; '.join(shares)}"
        )
    yield Line("Janus-Pro 7B, RTX 3090", "ms of one pass, window 64", found, measured, OPEN, name * (name in frames))
