"""Traces by many hands: a folder of shards, each a trace by itself, that are read as one.

A shard's name says which it is and of how many, so that one that is missing is missed. Of its attributes
:data:`OF_ITS_OWN` may differ from the others'; where they do, the joined trace has a list, one of each shard. Its
attribute ``shards`` says how many sequences each has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from scd_analysis.common.urls import name_of, place_of, within
from scd_analysis.errors import InputError, TraceError
from scd_analysis.trace.headers import Header
from scd_analysis.trace.place import HEADER
from scd_analysis.trace.remote import names_at
from scd_analysis.validate import check_at_least, check_between, check_integer

Array = npt.NDArray[Any]

OF_ITS_OWN = ("blocks", "complete", "created", "device", "law_error", "seed", "versions")

_SHARD = re.compile(r"shard-(\d{5})-of-(\d{5})\.zarr")
MOST_SHARDS = 10**5 - 1

_PIECE = 2**24
"""Bytes of a variable that Dask reads together, at least a chunk."""


def shard_name(index: int, count: int) -> str:
    """What shard ``index`` of ``count`` is called in its folder.

    Raises
    ------
    InputError
        If there is none.
    """
    check_integer(index, "shard[0]")
    check_at_least(check_integer(count, "shard[1]"), 1, "shard[1]")
    check_between(count, 1, MOST_SHARDS, "shard[1]")
    check_between(index, 0, count - 1, "shard[0]")
    return f"shard-{index:05d}-of-{count:05d}.zarr"


def count_of(name: str) -> int:
    """Of how many shards one is, by its name."""
    found = _SHARD.fullmatch(name)
    if found is None:
        raise InputError(f"{name!a:.60}: is not the name of a shard")
    return int(found[2])


def shards_in(place: str | Path) -> list[str]:
    """Names of the shards in a folder, in their order; none of a trace, or where there is no folder.

    Raises
    ------
    TraceError
        If the store does not answer.
    """
    place = place_of(place)
    names = names_at(place) if isinstance(place, str) else os.listdir(place) if place.is_dir() else []
    return [] if HEADER in names else sorted(name for name in names if _SHARD.fullmatch(name))


def shard_in(place: str | Path, shard: tuple[int, int]) -> str | Path:
    """Where a shard of a folder is.

    Raises
    ------
    InputError
        If there is no such shard, or the folder is a trace or has shards of another number.
    """
    if not isinstance(shard, tuple) or len(shard) != 2:
        raise InputError(f"shard = {shard!r:.60}: must be (index, count)")
    name, place = shard_name(*shard), place_of(place)
    if name_of(place).endswith(".zip"):
        raise InputError(f"path = {place}: shards lie in a folder, which is no .zip")
    header = within(place, HEADER)
    if header.exists() if isinstance(header, Path) else HEADER in names_at(str(place)):
        raise InputError(f"path = {place}: is a trace, and no folder of shards")
    for other in shards_in(place):
        if count_of(other) != shard[1]:
            raise InputError(f"path = {place}: holds {other}, and shard = {shard} is of another number")
    return within(place, name)


def check_all_there(names: Sequence[str], what: str) -> None:
    """Check that shards are those of one number, and all of them.

    Raises
    ------
    TraceError
        Naming what is missing, or what does not belong together.
    """
    counts = {count_of(name): name for name in reversed(names)}
    if len(counts) > 1:
        first, second, *_ = sorted(counts.values())
        raise TraceError(f"{what}: holds {first} and {second}, which are not of one trace")
    (count,) = counts
    odd = [name for name in names if int(name[6:11]) >= count]
    if odd:
        raise TraceError(f"{what}: holds {odd[0]}, which is none of {count}")
    missing = [name for name in (shard_name(i, count) for i in range(count)) if name not in set(names)]
    if missing:
        told = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise TraceError(
            f"{what}: {len(missing)} of {count} shards are missing: {told}; those that are there can be opened one by "
            "one"
        )


@dataclass(frozen=True)
class Part:
    """A trace as it is stored, cut to what happened.

    Attributes
    ----------
    what : str
        How errors call it.
    attributes : dict
    variables : dict of str to xarray.Variable
        Lazy, and undecoded: unused entries are -1, or NaN.
    headers : dict of str to Header
    """

    what: str
    attributes: dict[str, Any]
    variables: dict[str, xr.Variable]
    headers: dict[str, Header]


def joined(parts: Sequence[Part], what: str) -> Part:
    """One trace of the sequences of all shards, in the order of these.

    Raises
    ------
    TraceError
        Naming a shard that is incomplete, or that differs from the first, and in what.
    """
    stopped = [part.what for part in parts if not part.attributes["complete"]]
    if stopped:
        raise TraceError(
            f"{stopped[0]}: is incomplete, its writer was stopped ({len(stopped)} of {len(parts)} shards are); by "
            "itself it opens up to there, but among the others that would be a choice of what was drawn quickly"
        )
    for part in parts[1:]:
        _check_fits(parts[0], part)
    variables = {name: _join([part.variables[name] for part in parts]) for name in parts[0].variables}
    return Part(what, _attributes(parts), variables, parts[0].headers)


def _check_fits(first: Part, other: Part) -> None:
    for name in [*first.attributes, *(name for name in other.attributes if name not in first.attributes)]:
        here, there = (part.attributes.get(name, "nothing") for part in (first, other))
        if name not in OF_ITS_OWN and here != there:
            raise TraceError(f"{other.what}: {name} = {there!r:.60}, and {here!r:.60} in the first shard")
    odd = sorted(first.variables.keys() ^ other.variables.keys())
    if odd:
        lacks = first if odd[0] in other.variables else other
        raise TraceError(f"{lacks.what}: lacks the variable {odd[0]!r}, which other shards have")
    for name in first.variables:
        sizes = [dict(part.variables[name].sizes) for part in (first, other)]
        fixed = [{dim: size for dim, size in one.items() if dim not in ("sequence", "iteration")} for one in sizes]
        if fixed[0] != fixed[1]:
            raise TraceError(f"{other.what}: {name} has sizes {fixed[1]}, and {fixed[0]} in the first shard")


def _attributes(parts: Sequence[Part]) -> dict[str, Any]:
    sizes = [part.variables["nfe"].size for part in parts]
    found = dict(parts[0].attributes) | {"shards": sizes}
    for name in OF_ITS_OWN:
        each = [part.attributes.get(name) for part in parts]
        if any(one != each[0] for one in each):
            found[name] = each
    found["blocks"] = [
        [start + first, start + last, passes]
        for start, part in zip(_starts(sizes), parts, strict=False)
        for first, last, passes in part.attributes["blocks"]
    ]
    if "law_error" in found:
        found["law_error"] = _law_error([part.attributes.get("law_error", {}) for part in parts])
    return found


def _law_error(stated: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The error of the laws of all shards: the largest, and the mean over all."""
    out: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in stated for name in one):
        each = [one[name] for one in stated if name in one]
        laws = sum(one["laws"] for one in each)
        mean = sum(one["mean"] * one["laws"] for one in each) / max(1, laws)
        out[name] = {"max": max(one["max"] for one in each), "mean": mean, "laws": laws}
    return out


def _starts(sizes: Sequence[int]) -> list[int]:
    return list(accumulate(sizes, initial=0))


# -- arrays ----------------------------------------------------------------------------------------------------------


def _join(parts: Sequence[xr.Variable]) -> xr.Variable:
    return xr.Variable(parts[0].dims, indexing.LazilyIndexedArray(Joined(parts)))


class Joined(BackendArray):  # type: ignore[no-untyped-call]
    """Arrays one after the other along sequences; passes that the sequences of a shard did not take are missing.

    Parameters
    ----------
    parts : sequence of xarray.Variable
        Lazy.
    """

    def __init__(self, parts: Sequence[xr.Variable]) -> None:
        self._parts = list(parts)
        self._starts = np.array(_starts([part.shape[0] for part in parts]))
        self._by_pass = parts[0].dims[1:2] == ("iteration",)
        passes = max(part.shape[1] for part in parts) if self._by_pass else 0
        rest = (passes, *parts[0].shape[2:]) if self._by_pass else parts[0].shape[1:]
        self.shape, self.dtype = (int(self._starts[-1]), *rest), parts[0].dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> Array:
        axes = 2 if self._by_pass else 1
        asked = [np.atleast_1d(np.arange(self.shape[axis])[key[axis]]) for axis in range(axes)]
        sizes = [np.arange(size)[one].shape for size, one in zip(self.shape[axes:], key[axes:], strict=True)]
        fill = -1 if self.dtype.kind == "i" else np.nan
        out = np.full((*map(len, asked), *(size for one in sizes for size in one)), fill, dtype=self.dtype)
        owner = np.searchsorted(self._starts, asked[0], side="right") - 1
        for number in np.unique(owner):
            part, rows = self._parts[number], np.flatnonzero(owner == number)
            here, there = [rows], [asked[0][rows] - self._starts[number]]
            if self._by_pass:
                here.append(np.flatnonzero(asked[1] < part.shape[1]))
                there.append(asked[1][here[1]])
            if all(map(len, there)):
                out[np.ix_(*here)] = part[(*map(_as_slice, there), *key[axes:])].values
        return np.asarray(out[tuple(0 if _is_one(one) else slice(None) for one in key[:axes])])


def _is_one(key: Any) -> bool:
    return not isinstance(key, slice) and not np.ndim(key)


def _as_slice(index: Array) -> slice | Array:
    """Numbers that follow one another as a slice, which is read sooner."""
    run = len(index) == index[-1] - index[0] + 1 and bool((np.diff(index) == 1).all())
    return slice(int(index[0]), int(index[-1]) + 1) if run else index


def chunked(dataset: xr.Dataset, part: Part) -> xr.Dataset:
    """The same in arrays of Dask, where Dask is installed: some chunks of a shard a piece."""
    if find_spec("dask") is None:
        return dataset
    out = {}
    for name, variable in dataset.variables.items():
        header = part.headers[str(name)]
        sizes = dict(zip(header.dims, header.chunks, strict=True))
        if "iteration" in sizes:
            sizes["iteration"] *= max(1, _PIECE // header.chunk_bytes)
        step = sizes.pop("sequence")
        along = [min(step, size - start) for size in part.attributes["shards"] for start in range(0, size, step)]
        out[name] = variable.chunk({"sequence": tuple(along), **sizes})
    return dataset.assign(out)
