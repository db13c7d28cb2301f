"""Published beside measured: every quantity that the papers report, what stands here for it, and whether they agree.

What is measured comes from the stored frames of figures, so that a number here is one that a figure shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    out += [
        *_windows(frames),
        *_first_drafts(frames),
        *_changes(frames),
        *_alpha(frames),
        *_lags(frames),
        *_guidance(frames),
        *_rising(frames),
        *_continuation(frames),
    ]
    return [*out, *_sampler(frames)]


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


def _windows(frames: Frames) -> Iterator[Line]:
    """Whether speed-up grows with the window, beyond its intervals."""
    name, sweep = "speedup_by_window", _frame(frames, "speedup_by_window")
    for methods, limit, what in (
        (("sjd",), SJD_GAINS_UP_TO, f"SJD stops improving beyond window {SJD_GAINS_UP_TO}"),
        (("scd-mc", "scd-gs"), SCD_GAINS_UP_TO, f"SCD keeps improving up to window {SCD_GAINS_UP_TO}"),
    ):
        measured, agrees = NOT_MADE, OPEN
        if sweep is not None:
            parts, verdicts = [], []
            for method in methods:
                rows = sweep[sweep["method"] == method].sort_values("window")
                shown = rows[rows["window"] >= SJD_GAINS_UP_TO]
                said = ", ".join(f"{with_ends(row)} at {row.window}" for row in shown.itertuples())
                parts.append(f"{look(method).label} {said}")
                verdicts.append(_stops(shown) if method == "sjd" else _keeps(shown, limit))
            measured, agrees = "; ".join(parts), NO if NO in verdicts else YES
        yield Line("SCD paper", what, "stated", measured, agrees, name)


def _stops(rows: pd.DataFrame) -> str:
    """No later window is faster than the first beyond both intervals."""
    return NO if (rows["low"].iloc[1:] > rows["high"].iloc[0]).any() else YES


def _keeps(rows: pd.DataFrame, limit: int) -> str:
    inside = rows[rows["window"] <= limit]
    return YES if (inside["value"].diff().iloc[1:] > 0).all() else NO


def _first_drafts(frames: Frames) -> Iterator[Line]:
    """The same with first drafts that know nothing, where a longer window has more to mend."""
    frame, measured, agrees = _frame(frames, "initial_drafts"), NOT_MADE, OPEN
    if frame is not None:
        parts, verdicts = [], []
        for method in ("scd-mc", "scd-gs"):
            rows = frame[(frame["method"] == method) & (frame["initial"] == "uniform")].sort_values("window")
            said = ", ".join(f"{with_ends(row)} at {row.window}" for row in rows.itertuples())
            parts.append(f"{look(method).label} {said}")
            verdicts.append(_keeps(rows, SCD_GAINS_UP_TO))
        measured, agrees = "; ".join(parts), NO if NO in verdicts else YES
    what = f"SCD keeps improving up to window {SCD_GAINS_UP_TO}: first drafts uniform"
    yield Line("SCD paper", what, "stated", measured, agrees, "initial_drafts")


def _changes(frames: Frames) -> Iterator[Line]:
    frame = _frame(frames, "hamming_by_lag")
    measured = NOT_MADE
    if frame is not None:
        measured = with_ends(next(frame[(frame["method"] == "sjd") & (frame["lag"] == 1)].itertuples()))
    what = "share of SJD's window tokens that change each iteration"
    yield Line("SCD paper", what, f"about {SJD_CHANGES:.2f}", measured, OPEN, "hamming_by_lag")
    frame, measured = _frame(frames, "acceptance_lengths"), NOT_MADE
    if frame is not None:
        rows = frame[(frame["method"] == "sjd") & (frame["kind"] == "share") & (frame["tokens"] == 1)]
        measured = with_ends(next(rows.itertuples()))
    what = "share of SJD's passes that commit one token"
    yield Line("reported of SJD", what, f"about {SJD_SINGLE:g}", measured, OPEN, "acceptance_lengths")


def _alpha(frames: Frames) -> Iterator[Line]:
    frame, measured, agrees = _frame(frames, "coupling_alpha"), NOT_MADE, OPEN
    if frame is not None:
        parts, falls = [], True
        for method, rows in frame.sort_values("alpha").groupby("method", sort=False):
            said = ", ".join(f"{row.value:.1f} [{row.low:.1f}, {row.high:.1f}]" for row in rows.itertuples())
            parts.append(f"{look(str(method)).label} {said}")
            falls &= bool((rows["value"].diff().iloc[1:] < 0).all())
        at = ", ".join(f"{alpha:g}" for alpha in sorted(frame["alpha"].unique()))
        measured, agrees = f"at {at}: {'; '.join(parts)} passes", YES if falls else NO
    yield Line("SCD paper", STATEMENTS["alpha"], "stated", measured, agrees, "coupling_alpha")


def _lags(frames: Frames) -> Iterator[Line]:
    frame = _frame(frames, "hamming_by_lag")
    for lags, lower, statement in (((1,), "scd-mc", "lag 1"), ((2, 3), "scd-gs", "lags 2 and 3")):
        measured, agrees = NOT_MADE, OPEN
        if frame is not None:
            parts, verdicts = [], []
            for lag in lags:
                rows = frame[frame["lag"] == lag].set_index("method")
                own, other = rows.loc[lower], rows.loc["scd-gs" if lower == "scd-mc" else "scd-mc"]
                both = ", ".join(
                    f"{look(m).label} {with_ends(next(rows.loc[[m]].itertuples()), 3)}" for m in ("scd-mc", "scd-gs")
                )
                parts.append(f"lag {lag}: {both}")
                apart = own["high"] < other["low"]
                verdicts.append(YES if apart else UNSURE if own["value"] < other["value"] else NO)
            measured = "; ".join(parts)
            agrees = next(verdict for verdict in (NO, UNSURE, YES) if verdict in verdicts)
        yield Line("SCD paper", STATEMENTS[statement], "stated", measured, agrees, "hamming_by_lag")


def _guidance(frames: Frames) -> Iterator[Line]:
    frame, measured, agrees = _frame(frames, "guidance"), NOT_MADE, OPEN
    if frame is not None:
        parts, verdicts = [], []
        for method, rows in frame[frame["kind"] == "speedup"].sort_values("setting").groupby("method", sort=False):
            first, last, most = rows.iloc[0], rows.iloc[-1], int(rows["value"].to_numpy().argmax())
            shown = rows.iloc[sorted({0, most, len(rows) - 1})]
            said = ", ".join(f"{with_ends(row)} at {row.setting:g}" for row in shown.itertuples())
            parts.append(f"{look(str(method)).label} {said}")
            weaker, stronger = last["high"] < first["low"], rows["low"].max() > first["high"]
            verdicts.append(NO if stronger or last["value"] >= first["value"] else YES if weaker else UNSURE)
        measured = "; ".join(parts)
        agrees = next(verdict for verdict in (NO, UNSURE, YES) if verdict in verdicts)
    yield Line("SCD paper", STATEMENTS["guidance"], "stated", measured, agrees, "guidance")


def _rising(frames: Frames) -> Iterator[Line]:
    frame, measured, agrees = _frame(frames, "vp_motivation"), NOT_MADE, OPEN
    if frame is not None:
        rows = frame[frame["kind"] == "risers"].set_index("law")
        said = {law: with_ends(next(rows.loc[[law]].itertuples())) for law in ("verified", "correct", "chance")}
        measured = (
            f"it rose for {said['verified']} of verified, {said['correct']} of correct, by chance {said['chance']}"
        )
        agrees = YES if rows.loc[["verified", "correct"], "low"].min() > rows.loc["chance", "high"] else NO
    yield Line("SJD-VP", STATEMENTS["verification prediction"], "stated", measured, agrees, "vp_motivation")


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
