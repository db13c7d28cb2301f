"""What a report is made from: a verdict, or its JSON read back; a trace, completed where its writer left gaps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

import xarray as xr

from scd_analysis.audit.verdict import ConditionReport, Diagnosis, Finding, Outcome, Size, Verdict
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.evidence.certificate import Certificate
from scd_analysis.figures.base import Run
from scd_analysis.figures.foreign import as_run, open_run

Record = TypeVar("Record")


def read_verdict(verdict: Verdict | Mapping[str, Any]) -> Verdict:
    """Take a verdict as it is, or rebuild it from the object parsed from its JSON.

    Parameters
    ----------
    verdict : Verdict or mapping
        Keys that are not known are passed over, so that a later version's verdict can be read.

    Raises
    ------
    InputError
        Naming what is missing or of the wrong kind.
    """
    if isinstance(verdict, Verdict):
        return verdict
    if not isinstance(verdict, Mapping):
        raise InputError(f"verdict = {verdict!r}: expected a Verdict, or the object parsed from its JSON")
    given = dict(verdict)
    try:
        given["outcome"] = Outcome[given["outcome"]]
        given["findings"] = tuple(_build(Finding, item) for item in given.get("findings", ()))
        given["conditions"] = tuple(_build(ConditionReport, item) for item in given.get("conditions", ()))
        given["path"] = tuple((int(seen), float(value)) for seen, value in given.get("path", ()))
        given["diagnosis"] = _diagnosis(given.get("diagnosis"))
        certificate = given.get("certificate")
        given["certificate"] = None if certificate is None else _build(Certificate, certificate)
        given["record"] = dict(given.get("record") or {})
        return _build(Verdict, given)
    except KeyError as error:
        raise InputError(f"verdict: not a verdict (it lacks or misspells {error})") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"verdict: not a verdict ({error})") from None


def _diagnosis(given: Any) -> Diagnosis | None:
    if given is None:
        return None
    size = given.get("size")
    return _build(Diagnosis, {**given, "size": None if size is None else _build(Size, size)})


def _build(kind: type[Record], given: Mapping[str, Any]) -> Record:
    """Make a record of what belongs to it; JSON spells an infinite number as a string."""
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in given:
            value = given[field.name]
            if str(field.type).startswith("float") and value is not None:
                value = float(value)
            elif field.name == "condition" and value is not None:
                value = Condition(value)
            elif str(field.type).startswith("tuple"):
                value = tuple(value)
            values[field.name] = value
        elif field.default is MISSING:
            raise KeyError(field.name)
    return kind(**values)


def load_verdict(path: str | Path) -> Verdict:
    """Read a verdict from the JSON file that ``audit --out`` wrote.

    Raises
    ------
    InputError
        If the file is not a verdict.
    """
    try:
        return read_verdict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def read_trace(trace: xr.Dataset | str | Path) -> Run:
    """Open a trace if it is a path, check it, and derive ages and numbers of passes where they were not recorded.

    Parameters
    ----------
    trace : xarray.Dataset or path
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
