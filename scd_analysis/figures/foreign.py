"""Anybody's trace as a run: what the decoder did not record is derived where it can be, and named where it cannot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from scd_analysis.common.files import encoded
from scd_analysis.common.urls import name_of
from scd_analysis.errors import InputError, TraceError
from scd_analysis.figures.base import COUPLING_OF, Figure, Run
from scd_analysis.trace import open_trace, validate
from scd_analysis.trace.trajectories import ages, read

_KEPT = ("model", "decoder", "method", "method_settings", "seed", "device", "dtype", "generator", "complete")


def open_run(path: str | Path) -> Run:
    """Open, check and complete a trace.

    Parameters
    ----------
    path : path or URL
        Directory or ``.zip``; an unfinished one is read up to its last complete chunk.

    Raises
    ------
    TraceError
        If it is no trace, is empty or contradicts itself.
    """
    with reading(path):
        return as_run(open_trace(path), _plain(name_of(path)))


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Whatever goes wrong while a trace is read is an error of the trace, in one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise TraceError(f"trace {path}: cannot be read ({said(error)})") from error


def said(error: BaseException) -> str:
    """An exception of other people's code on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(": ")


def as_run(trace: xr.Dataset, name: str) -> Run:
    """Check and complete a trace that is open; ``name`` is what it is called, should it not name its decoder.

    Raises
    ------
    TraceError
        If it is no trace, is empty or contradicts itself.
    """
    if trace.sizes.get("sequence", 0) == 0 or trace.sizes.get("iteration", 0) == 0:
        raise TraceError(f"trace {name}: holds no pass")
    validate(trace)
    trace = _with_age(_with_passes(trace))
    attributes = {key: _plain(value) for key, value in trace.attrs.items()}
    label = str(attributes.get("method") or attributes.get("decoder") or name)
    settings = {key: attributes[key] for key in _KEPT if attributes.get(key) is not None}
    settings |= {"trace": name, "window": attributes["window"], "num_sequences": trace.sizes["sequence"]}
    coupling = COUPLING_OF.get(label) if attributes.get("decoder") == "reference" else None
    return Run(label, int(attributes["window"]), trace, coupling, settings)


def _plain(value: Any) -> Any:
    """An attribute as JSON in UTF-8 can hold it: numbers that are none are words, lone surrogates are spelled."""
    if isinstance(value, str):
        return encoded(value).decode()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def has(trace: xr.Dataset, name: str) -> bool:
    """Whether a variable was recorded at all; read up to the first entry."""
    return name in trace and any(not np.isnan(part[name]).all() for part in read(trace, (name,)))


def lacking(figure: Figure, run: Run) -> str | None:
    """The first variable that a figure reads and a trace does not have."""
    return next((name for name in figure.variables if not has(run.trace, name)), None)


def require(figure: Figure, run: Run) -> None:
    """Check that a figure can be drawn from a run.

    Raises
    ------
    InputError
        Naming figure and variable.
    """
    name = lacking(figure, run)
    if name is not None:
        raise InputError(f"figure {figure.name!r}: needs {name}, which the trace of {run.label!r} did not record")


def _with_passes(trace: xr.Dataset) -> xr.Dataset:
    """Count the passes of complete sequences, if nobody did."""
    if has(trace, "nfe"):
        return trace
    reached = (trace["base"] + trace["num_committed"]).max("iteration")
    passes = trace["base"].notnull().sum("iteration")
    return trace.assign(nfe=passes.where(reached >= trace.sizes["position"]).astype(np.float64))


def _with_age(trace: xr.Dataset) -> xr.Dataset:
    """Count the passes since each position entered the window, if nobody did."""
    if has(trace, "age"):
        return trace
    age = ages(trace["base"].values, trace["draft_token"].notnull().values)
    return trace.assign(age=(("sequence", "iteration", "slot"), age))
