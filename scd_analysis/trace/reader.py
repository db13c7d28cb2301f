"""Opens a trace, and says whether it contradicts itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from zarr.abc.store import Store

from scd_analysis.common.urls import place_of, within
from scd_analysis.errors import TraceError
from scd_analysis.trace.checks import RANGES, check_arrays, check_attributes, check_dataset
from scd_analysis.trace.coherence import check_coherent, remedy
from scd_analysis.trace.damage import named
from scd_analysis.trace.place import leftovers
from scd_analysis.trace.schema import FLAGS, REQUIRED, VARIABLES
from scd_analysis.trace.shards import Part, check_all_there, chunked, joined, shards_in
from scd_analysis.trace.store import GuardedStore, Happened, lazy_variable, open_store
from scd_analysis.trace.stored_laws import check_recorded
from scd_analysis.validate import refuse_where

_SLOTS_AT_ONCE = 2**20
"""Slots, or tokens of finished sequences, that are checked together: some 250 bytes each once loaded."""


def open_trace(source: str | Path | Store, *, check: bool = True) -> xr.Dataset:
    """Open a trace lazily.

    Parameters
    ----------
    source : path, URL or Zarr store
        A directory, a ``.zip``, or the store of a trace in memory; a URL that fsspec knows, such as
        ``s3://bucket/run.zarr``; or a folder of shards, by its path or URL (:mod:`scd_analysis.trace.shards`), which is
        opened as one trace, in arrays of Dask where that is installed.
    check : bool
        Whether to look for contradictions among attributes and shapes (not in the data).

    Returns
    -------
    xarray.Dataset
        With attribute ``complete``; if False, the writer was stopped: what it had finished is there, cut to the last
        iteration that any sequence reached.

    Raises
    ------
    TraceError
        If there is no trace, or it is of a later schema, or truncated, or would take more memory than
        :data:`scd_analysis.trace.headers.MEMORY_LIMIT`; if a shard is missing or incomplete, or differs from the others
        in what should be the same; when it is read, if a chunk turns out to be damaged.
    InputError
        If the file system of a URL is not known, or not installed.
    """
    what = f"trace {source}"
    place = place_of(source) if isinstance(source, str | Path) else source
    if isinstance(place, Path) and not place.exists():
        unfinished = leftovers(place)
        hint = f"; an unfinished one is at {unfinished[0]}" if unfinished else ""
        raise TraceError(f"{what}: there is no such file or directory{hint}")
    shards = [] if isinstance(place, Store) else shards_in(place)
    if not shards:
        part = _part(place, what)
        dataset = _decoded(part)
    else:
        check_all_there(shards, what)
        part = joined([_part(within(place, name), f"{what}: {name}") for name in shards], what)
        dataset = chunked(_decoded(part), part)
    if check:
        check_dataset(dataset, what)
    return dataset


def _part(source: str | Path | Store, what: str) -> Part:
    """Look through one trace."""
    store = open_store(source, what)
    attributes = store.attributes
    check_attributes(attributes, what)
    absent = [name for name in ("blocks", "complete") if name not in attributes]
    if absent:
        raise TraceError(f"{what}: lacks the attribute {absent[0]!r}")
    missing = [name for name in REQUIRED if name not in store.arrays]
    if missing:
        raise TraceError(f"{what}: lacks the variable {missing[0]!r}")
    names = [name for name in VARIABLES if name in store.arrays]
    happened = check_arrays(store, names)
    return Part(what, attributes, {name: _variable(store, name, happened) for name in names}, store.arrays)


def _variable(store: GuardedStore, name: str, happened: Happened) -> xr.Variable:
    """One variable, cut to what happened, undecoded."""
    one = lazy_variable(store, name, happened)
    sizes = {"sequence": len(happened.written), "iteration": int(happened.written.max(initial=0))}
    return one.isel({dim: slice(size) for dim, size in sizes.items() if dim in one.dims})


def _decoded(part: Part) -> xr.Dataset:
    """A trace with unused entries NaN; what a store says of decoding is not asked."""
    decoded = {name: _decoded_variable(name, one) for name, one in part.variables.items()}
    for name, one in decoded.items():
        one.encoding["fill_value"] = part.headers[name].fill  # for who writes it again
    return xr.Dataset(decoded, attrs=dict(part.attributes))


def _decoded_variable(name: str, one: xr.Variable) -> xr.Variable:
    variable = VARIABLES[name]
    attributes = {"units": variable.units, "description": variable.description}
    decoding: dict[str, Any] = {"_FillValue": np.dtype(variable.dtype).type(-1)} if variable.is_integer else {}
    decoding |= {"scale_factor": variable.scale} if variable.scale != 1 else {}
    one.attrs.update({**attributes, **decoding})
    return xr.conventions.decode_cf_variable(
        name, one, decode_times=False, decode_timedelta=False, concat_characters=False, decode_endianness=False
    )


def _fail(name: str, bad: xr.DataArray, values: xr.DataArray, what: str) -> None:
    first = int(values["sequence"].values[0]) if values.sizes["sequence"] else 0
    refuse_where(bad.values, values.values, name, what, TraceError, first)


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
    InputError
        If it is no dataset.
    TraceError
        Naming the variable, the index and the value.
    LawError
        Likewise, for a stored law that is none.
    """
    check_dataset(trace, "trace")
    scalars = trace[list(REQUIRED)]
    scalars = scalars.drop_vars(list(scalars.coords))  # what slots are called is nothing to count with
    most = max(1, trace.sizes["iteration"] * trace.sizes["slot"], trace.sizes["position"])
    chunk = min(chunk, max(1, _SLOTS_AT_ONCE // most))
    for start in range(0, trace.sizes["sequence"], chunk):
        part = scalars.isel(sequence=slice(start, start + chunk))
        _check_part(_loaded(part.assign_coords(sequence=np.arange(start, start + part.sizes["sequence"]))), trace.attrs)
    if laws:
        check_recorded(trace)


def _loaded(part: xr.Dataset) -> xr.Dataset:
    with named("trace"):
        return part.load()


def _check_part(part: xr.Dataset, attributes: dict[str, Any]) -> None:
    """Check a few sequences."""
    vocab, length, window = (int(attributes[name]) for name in ("vocab_size", "num_tokens", "window"))
    for name in ("draft_token", "next_token", "bonus_token", "tokens"):
        _fail(name, (part[name] < 0) | (part[name] >= vocab), part[name], f"not a token of a vocabulary of {vocab}")
    passes = part.sizes["iteration"]
    ends = {"base": (0, length), "num_committed": (0, window + 1), "age": (0, passes), "nfe": (1, np.inf)}
    for name, (least, most) in ends.items():
        _fail(name, (part[name] < least) | (part[name] > most), part[name], f"must lie between {least} and {most}")
    for name in (name for name in REQUIRED if VARIABLES[name].is_integer):
        odd = part[name].notnull() & ((np.floor(part[name]) != part[name]) | np.isinf(part[name]))
        what = "must be 0 or 1" if name in FLAGS else "must be a whole number"
        _fail(name, odd, part[name], what)
    for name, (low, high) in RANGES.items():
        bad = (part[name] < low - 1e-5) | (part[name] > high + 1e-5) | np.isinf(part[name])
        between = f"must lie between {low:g} and {high:g}" if high < np.inf else "must be a number from 0"
        _fail(name, bad, part[name], between)
    for name in FLAGS:
        values = part[name]
        _fail(name, values.notnull() & (values != 0) & (values != 1), values, "must be 0 or 1")
    _fail("draft_prob_of_token", part.draft_prob_of_token <= 0, part.draft_prob_of_token, "a draft of probability 0")
    _check_present(part)
    _check_window(part)


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
    wrong = moved.notnull() & (moved != part.num_committed)
    gap = (moved - part.num_committed).values[wrong.values][:1].sum()
    _fail("base", wrong, part.base, MOVED + remedy(gap))
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
