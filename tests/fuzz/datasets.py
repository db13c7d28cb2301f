"""Traces that a subject hands over in memory, changed in ways that a store cannot hold; and stores that change later.

The same holds as for stored traces: our errors only, a lossless record is not refuted by damage, and a fault that is
still recorded does not pass.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from scd_analysis.report import write_report
from scd_analysis.trace import open_trace, validate
from scd_analysis.trace.summary import summarise
from tests.fuzz import odd, originals, stores, traces
from tests.fuzz.case import Case

NAMES = ("base", "draft_token", "next_token", "accepted", "committed", "tokens", "nfe", "draft_prob_of_token",
         "target_prob_of_token", "draft_probs", "target_probs", "uniform", "bonus_token", "num_committed")  # fmt: skip
DTYPES = ("float32", "float16", "longdouble", "complex64", "object", "str", "bool", "datetime64[ns]", ">f8", "int8",
          "uint64", "S3")  # fmt: skip


@cache
def _loaded(source: Path) -> xr.Dataset:
    return open_trace(source).load()


class _Raises(BackendArray):  # type: ignore[no-untyped-call]
    """Data that is read when it is needed, and cannot be had then."""

    def __init__(self, like: Any, error: Exception) -> None:
        self.shape, self.dtype, self._error = like.shape, like.dtype, error

    def __getitem__(self, key: Any) -> Any:
        raise self._error


def _of_other_type(case: Case, trace: xr.Dataset, name: str) -> tuple[xr.Dataset, str]:
    dtype = case.rng.choice(DTYPES)
    with np.errstate(all="ignore"):
        values = np.nan_to_num(trace[name].values, nan=-1)
        return trace.assign({name: (trace[name].dims, values.astype(dtype))}), dtype


def _masked(case: Case, trace: xr.Dataset, name: str) -> tuple[xr.Dataset, str]:
    values = np.ma.masked_array(trace[name].values, mask=np.zeros(trace[name].shape, dtype=bool))
    values[..., :1] = np.ma.masked
    return trace.assign({name: xr.Variable(trace[name].dims, values)}), "masked"


def _raising(case: Case, trace: xr.Dataset, name: str) -> tuple[xr.Dataset, str]:
    error = case.rng.choice((RuntimeError("no data"), OSError(5, "gone"), KeyError("x"), ValueError("a\nb")))
    data = indexing.LazilyIndexedArray(_Raises(trace[name], error))
    return trace.assign({name: xr.Variable(trace[name].dims, data)}), f"{error!r} when read"


def _dimensions(case: Case, trace: xr.Dataset, name: str) -> tuple[xr.Dataset, str]:
    what = case.rng.choice(("transposed", "renamed", "swapped", "one more", "one less", "doubled", "reversed", "none"))
    dims = list(trace[name].dims)
    if what == "transposed":
        return trace.transpose(*reversed(list(trace.sizes))), what
    if what == "renamed":
        dim = case.rng.choice(dims)
        return trace.rename({dim: "other"}), f"{dim} renamed"
    if what == "swapped":
        return trace.assign({name: trace[name].transpose()}), what
    if what == "one more":
        return trace.assign({name: trace[name].expand_dims("more")}), what
    if what == "one less":
        return trace.assign({name: trace[name].isel({dims[-1]: 0})}), what
    if what == "doubled":
        return xr.concat([trace, trace], dims[0]), f"{dims[0]} doubled"
    if what == "reversed":
        return trace.isel({dims[-1]: slice(None, None, -1)}), f"{dims[-1]} reversed"
    return trace.isel({dims[0]: slice(0)}), f"no {dims[0]}"


def _coordinates(case: Case, trace: xr.Dataset, name: str) -> tuple[xr.Dataset, str]:
    what = case.rng.choice(("labels", "texts", "index", "levels", "as coordinate", "no index"))
    dim = case.rng.choice(list(trace[name].dims))
    count = trace.sizes[dim]
    if what == "labels":
        return trace.assign_coords({dim: np.arange(count)[::-1] * 1.5}), f"{dim} has labels"
    if what == "texts":
        return trace.assign_coords({dim: [f"[/b]{i}" for i in range(count)]}), f"{dim} has texts"
    if what == "index":
        return trace.assign_coords({dim: np.zeros(count)}), f"{dim} has one label many times"
    if what == "levels":
        import pandas

        levels = pandas.MultiIndex.from_arrays([range(count), range(count)], names=("a", "b"))
        return trace.assign_coords(xr.Coordinates.from_pandas_multiindex(levels, dim)), f"{dim} has two levels"
    if what == "as coordinate":
        return trace.set_coords(name), f"{name} is a coordinate"
    return trace.assign_coords({dim: (dim, [object()] * count)}), f"{dim} has objects"


def _attributes(case: Case, trace: xr.Dataset, name: str) -> tuple[xr.Dataset, str]:
    key = case.rng.choice((*trace.attrs, "laws_put_together", "method", "grid", 3, "seed"))
    value = case.rng.choice((odd.value(case.rng), np.int64(3), np.float32(3), np.array([3]), b"x", {1: 2}, object(),
                             np.array(3), (1, 2), 3j))  # fmt: skip
    return trace.assign_attrs({key: value}), f"attribute {key} = {value!r:.60}"


def _variables(case: Case, trace: xr.Dataset, name: str) -> tuple[xr.Dataset, str]:
    what = case.rng.choice(("gone", "more", "units", "number as a name"))
    if what == "gone":
        return trace.drop_vars(name), "gone"
    if what == "more":
        return trace.assign(more=("other", [object()])), "one more"
    if what == "units":
        units = case.rng.choice(("days since 1970-01-01", 3, None))
        return trace.assign({name: trace[name].assign_attrs(units=units, scale_factor="x")}), f"units = {units!r}"
    return trace.assign({3: trace[name]}), what


def _other_arrays(case: Case, trace: xr.Dataset, name: str) -> tuple[xr.Dataset, str]:
    what = case.rng.choice(("read-only", "strided", "big-endian", "chunked"))
    values = trace[name].values
    if what == "read-only":
        values = values.copy()
        values.flags.writeable = False
    elif what == "strided":
        values = np.repeat(values, 2, axis=-1)[..., ::2]
    elif what == "big-endian":
        values = values.astype(values.dtype.newbyteorder(">"))
    else:
        try:
            return trace.chunk({"sequence": 7}), what
        except (ImportError, ValueError):  # no dask
            return trace, "as it is"
    return trace.assign({name: (trace[name].dims, values)}), what


SAME = (_other_arrays, _coordinates)
CHANGES: tuple[Callable[[Case, xr.Dataset, str], tuple[xr.Dataset, str]], ...] = (
    _of_other_type, _masked, _raising, _dimensions, _coordinates, _attributes, _attributes, _variables, _other_arrays,
)  # fmt: skip
REMAINS = (_coordinates, _attributes, _other_arrays)
"""Changes after which a fault is still recorded."""


def changed(case: Case) -> None:
    """One change of a dataset."""
    rng = case.rng
    fault = rng.random() < 0.4
    source = originals.faulty(rng.choice(originals.FAULTS)) if fault else originals.lossless()
    change, name = rng.choice(CHANGES), rng.choice(NAMES)
    trace, what = change(case, _loaded(source).copy(), name)
    case.describe(f"{source.name}: {name}: {what}")
    with_model = rng.random() < 0.5
    model = originals.model() if with_model else None
    case.door("validate", lambda: validate(trace, laws=True))
    case.door("summarise", lambda: validate(trace) or summarise(trace))
    shown: Any = trace
    if with_model and rng.random() < 0.5:
        shown = lambda model, num_sequences, seed: trace.isel(sequence=slice(0, num_sequences))  # noqa: E731
    verdict = case.door("audit", lambda: originals.audit(shown, model, max_sequences=originals.SEQUENCES))
    if rng.random() < 0.3:
        case.door("report", lambda: write_report(case.folder / "page.html", verdict, trace))
    before = originals.verdict_of(source, with_model) if verdict is not None else ""
    other = change is _dimensions and "reversed" in what
    traces.judge(case, verdict, before, stays=fault and change in REMAINS, may_refute=other)


def later(case: Case) -> None:
    """A store that is damaged after it was opened."""
    rng = case.rng
    source = originals.lossless()
    path = case.folder / "run.zarr"
    shutil.copytree(source, path)
    if zipped := rng.random() < 0.3:
        path = Path(shutil.make_archive(str(path), "zip", path))
    case.describe(source.name)
    trace = case.door("open_trace", lambda: open_trace(path))
    assert trace is not None
    if rng.random() < 0.3:
        trace[rng.choice(NAMES)].load()
    if zipped:
        content, how = odd.change_bytes(rng, path.read_bytes())
        path.write_bytes(content)
        case.describe(f"zip: {how}")
    else:
        damage = rng.choice((stores.change_chunk, stores.remove, stores.no_regular_file, stores.rename, stores.bomb))
        case.describe(damage(case, path))
    case.door("validate", lambda: validate(trace, laws=True))
    case.door("summarise", lambda: validate(trace) or summarise(trace))
    verdict = case.door("audit", lambda: originals.audit(trace, originals.model()))
    traces.judge(case, verdict, originals.verdict_of(source, True), stays=False, may_refute=False)
