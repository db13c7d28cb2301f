"""The record of a decode: an xarray dataset on a Zarr store, read back and checked.

:class:`TraceWriter` writes it while a decoder runs; :func:`open_trace` opens it, also after a crash; :func:`validate`
says whether it keeps its promises. The variables are listed in :mod:`scd_analysis.schema`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.storage import ZipStore

from scd_analysis.coherence import check_coherent
from scd_analysis.errors import TraceError
from scd_analysis.recorded_laws import check_recorded, laws_of, read_laws
from scd_analysis.schema import COMPACT, LAWS, REQUIRED, SCHEMA_VERSION, VARIABLES
from scd_analysis.trace_writer import TraceWriter

__all__ = ["TraceWriter", "laws_of", "open_trace", "read_laws", "validate"]


_SLOTS_AT_ONCE = 2**20
"""Slots that are checked together: some 250 bytes each once loaded."""


def open_trace(source: str | Path | Store, *, check: bool = True) -> xr.Dataset:
    """Open a trace lazily.

    Parameters
    ----------
    source : path or Zarr store
        A directory, a ``.zip``, or the store of a trace in memory.
    check : bool
        Whether to run :func:`validate` on the attributes and shapes (not on the data).

    Returns
    -------
    xarray.Dataset
        With attribute ``complete``; if False, the writer was stopped: what it had finished is there, cut to the last
        iteration that any sequence reached.

    Raises
    ------
    TraceError
        If there is no trace, or it is of a later schema, or truncated.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.exists():
            partial = path.with_name(path.name + ".partial")
            hint = f"; an unfinished one is at {partial}" if partial.exists() else ""
            raise TraceError(f"trace {path}: there is no such file or directory{hint}")
        source = ZipStore(path, mode="r") if path.is_file() else str(path)
    try:
        group = zarr.open_group(source, mode="r")
        attributes = dict(group.attrs)
    except Exception as error:
        raise TraceError(f"trace {source}: not a Zarr version 3 store ({type(error).__name__})") from None
    _check_schema(attributes, str(source))
    missing = [name for name in REQUIRED if name not in group]
    if missing:
        raise TraceError(f"trace {source}: lacks the variable {missing[0]!r}")
    absent = [name for name in ("vocab_size", "num_tokens", "window", "blocks") if name not in attributes]
    if absent:
        raise TraceError(f"trace {source}: lacks the attribute {absent[0]!r}")
    dataset = _open_group(source, group, str(source))
    if not attributes.get("complete"):
        reached = max((written for _, _, written in attributes["blocks"]), default=0)
        begun = max((stop for _, stop, _ in attributes["blocks"]), default=0)
        dataset = dataset.isel(iteration=slice(0, reached), sequence=slice(0, begun))
    if check:
        _check_shapes(dataset, str(source))
    return dataset


def _open_group(source: Any, group: zarr.Group, name: str) -> xr.Dataset:
    """Open what is there; a writer that was stopped while it made room leaves arrays of unequal sizes."""
    try:
        return xr.open_zarr(source, consolidated=bool(group.attrs.get("complete")))
    except ValueError:
        return _open_unequal(source, group)
    except Exception as error:
        raise TraceError(f"trace {name}: its arrays cannot be read ({str(error).splitlines()[0]})") from None


def _open_unequal(source: Any, group: zarr.Group) -> xr.Dataset:
    """Open every variable alone and cut all to the sizes they share."""
    names = [name for name in VARIABLES if name in group]
    alone = {
        name: xr.open_zarr(source, consolidated=False, drop_variables=[n for n in group.array_keys() if n != name])
        for name in names
    }
    least = {
        dim: min(p.sizes[dim] for p in alone.values() if dim in p.dims) for name in names for dim in alone[name].dims
    }
    cut = [part.isel({dim: slice(0, least[dim]) for dim in part.dims}) for part in alone.values()]
    return xr.merge(cut, combine_attrs="override", join="exact", compat="no_conflicts")


def _check_schema(attributes: dict[str, Any], source: str) -> None:
    version = attributes.get("schema_version")
    if not isinstance(version, int):
        raise TraceError(f"trace {source}: has no schema_version, so it is not a trace")
    if version > SCHEMA_VERSION:
        raise TraceError(f"trace {source}: schema_version = {version} is later than {SCHEMA_VERSION}, which this reads")


def _check_shapes(trace: xr.Dataset, source: str) -> None:
    for dim, attribute in (("slot", "window"), ("position", "num_tokens")):
        if trace.sizes[dim] != trace.attrs[attribute]:
            raise TraceError(
                f"trace {source}: {dim} has size {trace.sizes[dim]}, {attribute} = {trace.attrs[attribute]}"
            )
    for name in REQUIRED:
        if trace[name].dims != VARIABLES[name].dims:
            raise TraceError(f"trace {source}: {name} has dimensions {trace[name].dims}, not {VARIABLES[name].dims}")


def _fail(name: str, bad: xr.DataArray, values: xr.DataArray, what: str) -> None:
    if bool(bad.any()):
        index = [int(i) for i in np.argwhere(bad.values)[0]]
        value = values.values[tuple(index)]
        index[0] = int(values["sequence"][index[0]])  # counted from the first of the trace
        raise TraceError(f"{name}{index} = {value}: {what}")


def validate(trace: xr.Dataset, chunk: int = 256, *, laws: bool = False) -> None:
    """Check that a trace does not contradict itself, a few sequences at a time.

    Tokens lie in the vocabulary, probabilities in [0, 1], flags are 0 or 1, the window moves by what was committed,
    commits are a prefix of the window, and a committed token is the finished sequence's.

    Parameters
    ----------
    trace : xarray.Dataset
        As :func:`open_trace` gives it.
    chunk : int
        Sequences read at a time, at most; fewer where these would take much memory.
    laws : bool
        Whether to read the laws too, and compare them with their scalars: stored laws may be off by the error that the
        trace states, and by no more.

    Raises
    ------
    TraceError
        Naming the variable, the index and the value.
    """
    _check_schema(trace.attrs, "dataset")
    _check_shapes(trace, "dataset")
    vocab = trace.attrs["vocab_size"]
    scalars = trace.drop_vars([*LAWS, *COMPACT], errors="ignore")
    slots = max(1, trace.sizes["iteration"] * trace.sizes["slot"])
    chunk = min(chunk, max(1, _SLOTS_AT_ONCE // slots))
    for start in range(0, trace.sizes["sequence"], chunk):
        part = scalars.isel(sequence=slice(start, start + chunk))
        part = part.assign_coords(sequence=np.arange(start, start + part.sizes["sequence"]))
        try:
            part = part.load()
        except Exception as error:
            raise TraceError(f"trace: a chunk cannot be read ({type(error).__name__}: {error})") from None
        _check_present(part)
        for name in ("draft_token", "next_token", "bonus_token", "tokens"):
            _fail(name, (part[name] < 0) | (part[name] >= vocab), part[name], f"not a token of a vocabulary of {vocab}")
        for name in ("draft_prob_of_token", "target_prob_of_token", "total_variation", "collision_gumbel", "uniform"):
            _fail(name, (part[name] < -1e-5) | (part[name] > 1 + 1e-5), part[name], "must lie between 0 and 1")
        for name in ("accepted", "committed", "residual_drawn"):
            values = part[name]
            _fail(name, values.notnull() & (values != 0) & (values != 1), values, "must be 0 or 1")
        _fail(
            "draft_prob_of_token", part.draft_prob_of_token <= 0, part.draft_prob_of_token, "a draft of probability 0"
        )
        _check_window(part)
    if laws:
        check_recorded(trace)


def _check_present(part: xr.Dataset) -> None:
    """What a slot holds, it holds in every variable, and slots without a draft are the last: a chunk may be gone."""
    happened = part.base.notnull()
    _fail("num_committed", happened & part.num_committed.isnull(), part.num_committed, "missing")
    drafted, flagged = part["draft_token"].notnull(), part["accepted"].notnull()
    if not bool(drafted.any()) and not bool(flagged.any()):
        return  # a decoder without drafts (one token a pass)
    used = happened & (part.base + part.slot < part.sizes["position"])
    later = drafted.shift(slot=-1, fill_value=False)
    _fail("draft_token", used & ~drafted & (flagged | later), part["draft_token"], "missing")
    for name in ("next_token", "accepted", "committed"):
        _fail(name, used & drafted & part[name].isnull(), part[name], "missing")


MOVED = (
    "moves by other than num_committed, which is counted where it was not written: all slots up to the first "
    "rejection, unless committed says otherwise, and the bonus token"
)


def check_counts(part: xr.Dataset) -> None:
    """Check that the window moves by what was committed, and that commits and bonus tokens are that many.

    Parameters
    ----------
    part : xarray.Dataset
        Few enough sequences of a trace to load.

    Raises
    ------
    TraceError
        Naming the variable, the index and the value.
    """
    moved = part.base.shift(iteration=-1) - part.base
    _fail("base", moved.notnull() & (moved != part.num_committed), part.base, MOVED)
    in_pass = part.committed.fillna(0).sum("slot") + part.bonus_token.notnull()
    _fail(
        "num_committed", part.num_committed.notnull() & (in_pass != part.num_committed), part.num_committed, "miscounts"
    )


def _check_window(part: xr.Dataset) -> None:
    check_counts(part)
    flags = part.committed.fillna(0)
    _fail("committed", (flags.diff("slot") > 0), part.committed, "commits are not the first slots of the window")
    position = (part.base + part.slot).fillna(0).astype(int).clip(max=part.sizes["position"] - 1)
    final = part.tokens.isel(position=position)
    wrong = (part.committed == 1) & final.notnull() & (final != part.next_token)
    _fail("next_token", wrong, part.next_token, "committed, but the finished sequence holds another token")
    check_coherent(part)
