"""What a report is made from: a verdict, or its JSON read back; a trace, completed where its writer left gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from scd_analysis.audit.pair_verdict import GRADE, PairVerdict
from scd_analysis.audit.verdict import Outcome, Verdict
from scd_analysis.common.foreign_json import check_plain_file, decode, first_line, parse, shown
from scd_analysis.common.urls import place_of, read_url
from scd_analysis.errors import InputError
from scd_analysis.figures.base import Run
from scd_analysis.figures.foreign import as_run, open_run
from scd_analysis.report.typed import build

MOST_BYTES = 2**23
"""Of a verdict's file."""

SMALLEST_ALPHA = 1e-300
STATUSES = ("broken", "disturbed", "not refuted", "not tested")


def read_verdict(verdict: Verdict | Mapping[str, Any]) -> Verdict:
    """Take a verdict as it is, or rebuild it from the object parsed from its JSON.

    Parameters
    ----------
    verdict : Verdict or mapping
        Keys that are not known are passed over, so that a later version's verdict can be read; fields that an earlier
        version did not write have their defaults.

    Raises
    ------
    InputError
        Naming the field that is missing or of the wrong kind: ``verdict.findings[3].log_e_value = 'x': must be a
        number``.
    """
    if isinstance(verdict, Verdict):
        return verdict
    if not isinstance(verdict, Mapping):
        raise InputError(f"verdict = {shown(verdict)}: expected a Verdict, or the object parsed from its JSON")
    kind = PairVerdict if is_of_pair(verdict) else Verdict
    read: Verdict = build(kind, verdict, "verdict")
    if isinstance(read, PairVerdict):
        for arm in ("control", "speculation"):
            if getattr(read, arm) is not None:
                _check_ranges(getattr(read, arm), f"verdict.{arm}")
    elif read.outcome is Outcome.CONTROL_REFUTED:
        raise InputError("verdict.outcome = 'CONTROL_REFUTED': only two arms that were compared have it")
    _check_ranges(read, "verdict")
    return read


def is_of_pair(verdict: Mapping[str, Any]) -> bool:
    """Whether the object parsed from a verdict's JSON is of two arms."""
    record = verdict.get("record")
    return isinstance(record, Mapping) and record.get("grade") == GRADE


def _check_ranges(verdict: Verdict, name: str) -> None:
    """Check what types do not say, and a report relies on."""
    if verdict.is_enumerated:
        _check_enumerated(verdict, name)
    elif not SMALLEST_ALPHA <= verdict.alpha < 1:
        raise InputError(f"{name}.alpha = {verdict.alpha}: must be at least {SMALLEST_ALPHA:g} and below 1")
    for what in ("resolution", "epsilon", "epsilon_refuted"):
        value = getattr(verdict, what)
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"{name}.{what} = {value}: must lie between 0 and 1")
    certificate, diagnosis = verdict.certificate, verdict.diagnosis
    if certificate is not None and not 0 < certificate.delta < 1:
        raise InputError(f"{name}.certificate.delta = {certificate.delta}: must lie strictly between 0 and 1")
    if certificate is not None and not 0 <= certificate.low <= certificate.high + 1e-9 <= 1 + 2e-9:
        raise InputError(
            f"{name}.certificate: low = {certificate.low}, high = {certificate.high}: no interval in 0 ... 1"
        )
    if diagnosis is not None and diagnosis.size is not None and not diagnosis.size.low <= diagnosis.size.high:
        raise InputError(f"{name}.diagnosis.size: low = {diagnosis.size.low} is above high = {diagnosis.size.high}")
    for i, report in enumerate(verdict.conditions):
        if report.status not in STATUSES:
            known = ", ".join(STATUSES)
            raise InputError(f"{name}.conditions[{i}].status = {shown(report.status)}: must be one of {known}")
    _check_resolutions(verdict.record.get("resolutions"), f"{name}.record.resolutions")


def _check_enumerated(verdict: Verdict, name: str) -> None:
    """Check what a verdict from an exact law is shown by."""
    if verdict.alpha != 0:
        raise InputError(f"{name}.alpha = {verdict.alpha}: must be 0, since the law was enumerated")
    for key in ("branches", "outcomes"):
        if build(int, verdict.record.get(key), f"{name}.record.{key}") < 0:
            raise InputError(f"{name}.record.{key} = {verdict.record[key]}: must be at least 0")
    bounds = build(tuple[float, ...], verdict.record.get("total_variation"), f"{name}.record.total_variation")
    if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1] <= 1 + 1e-9:
        raise InputError(f"{name}.record.total_variation = {list(bounds)}: must be two bounds in 0 ... 1")


def _check_resolutions(value: Any, name: str) -> None:
    for key, found in build(dict[str, Any] | None, value, name).items() if value is not None else ():
        if math.isinf(build(float, found, f"{name}[{shown(key)}]")):
            raise InputError(f"{name}[{shown(key)}] = {found}: must be finite")


def load_verdict(path: str | Path) -> Verdict:
    """Read a verdict from the JSON file that ``audit --out`` wrote, by its path or URL.

    Raises
    ------
    InputError
        If the file is not a verdict, naming it and the field.
    """
    path = place_of(path)
    raw = read_url(path, MOST_BYTES + 1) if isinstance(path, str) else _read_file(path)
    if len(raw) > MOST_BYTES:
        raise InputError(f"{path}: is larger than {MOST_BYTES:,} bytes, the most that a verdict may have")
    parsed = parse(decode(raw.removeprefix(b"\xef\xbb\xbf"), str(path)), str(path))
    try:
        return read_verdict(parsed)
    except InputError as error:
        raise InputError(f"{path}: not a verdict ({error})") from None


def _read_file(path: Path) -> bytes:
    check_plain_file(path)
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})") from None


def read_trace(trace: xr.Dataset | str | Path) -> Run:
    """Open a trace if it is a path, check it, and derive ages and numbers of passes where they were not recorded.

    Parameters
    ----------
    trace : xarray.Dataset, path or URL
        As written by :class:`scd_analysis.TraceWriter`; an unfinished one is read up to its last complete chunk.

    Raises
    ------
    TraceError
        If it is not a trace, holds no pass, or contradicts itself.
    InputError
        If it is neither a dataset nor a path.
    """
    if isinstance(trace, (str, Path)):
        return open_run(trace)
    if not isinstance(trace, xr.Dataset):
        raise InputError(f"trace = {trace!r}: expected a path or an xarray.Dataset")
    return as_run(trace, "in memory")
