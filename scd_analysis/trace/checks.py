"""What a dataset must be to be a trace: attributes, variables, dimensions; nothing of the data is read here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from scd_analysis.errors import InputError, TraceError
from scd_analysis.trace.compact import form_of
from scd_analysis.trace.headers import Header, check_memory, whole
from scd_analysis.trace.schema import COMPACT, LAWS, REQUIRED, SCHEMA_VERSION, VARIABLES
from scd_analysis.trace.store import GuardedStore, Happened, chunks_between
from scd_analysis.trace.stored_laws import check_law_error

SIZES = {"slot": "window", "position": "num_tokens", "vocab": "vocab_size"}
"""Dimensions, and the attributes that say how large they are."""


def check_attributes(attributes: dict[str, Any], source: str) -> None:
    """Check the attributes that a trace is read by.

    Raises
    ------
    TraceError
        Naming the attribute and its value.
    """
    version: Any = attributes.get("schema_version")
    if not whole(version, 1):
        raise TraceError(f"{source}: has no schema_version, so it is not a trace")
    if version > SCHEMA_VERSION:
        raise TraceError(f"{source}: schema_version = {version} is later than {SCHEMA_VERSION}, which this reads")
    for name in SIZES.values():
        if name not in attributes:
            raise TraceError(f"{source}: lacks the attribute {name!r}")
        if not whole(attributes[name], 1):
            raise _odd(source, name, attributes[name], "must be a whole number from 1 to 2147483647")
    if "blocks" in attributes:
        _check_blocks(attributes["blocks"], source)
    if "complete" in attributes and not isinstance(attributes["complete"], bool):
        raise _odd(source, "complete", attributes["complete"], "must be true or false")
    if not isinstance(attributes.get("laws", ""), str):
        raise _odd(source, "laws", attributes["laws"], "must be a form of laws")
    check_law_error(attributes, source)


def _odd(source: str, name: str, value: Any, what: str) -> TraceError:
    return TraceError(f"{source}: {name} = {value!r:.60}: {what}")


def _check_blocks(blocks: Any, source: str) -> None:
    """Check ``[[start, stop, passes], ...]``, one batch after the other."""
    if not isinstance(blocks, (list, tuple)):
        raise _odd(source, "blocks", blocks, "must be a list")
    reached = 0
    for i, block in enumerate(blocks):
        if not isinstance(block, (list, tuple)) or len(block) != 3 or not all(whole(one, 0) for one in block):
            raise _odd(source, f"blocks[{i}]", block, "must be [start, stop, passes]")
        if block[0] != reached or block[1] < reached:
            raise _odd(source, f"blocks[{i}]", block, f"must start at {reached}")
        reached = block[1]


def check_dataset(trace: Any, source: str) -> None:
    """Check that a dataset has what a trace has: attributes, variables, dimensions and kinds of numbers.

    Parameters
    ----------
    trace : xarray.Dataset
    source : str
        How errors call it.

    Raises
    ------
    InputError
        If it is no dataset.
    TraceError
        Naming what it lacks, or what is odd.
    """
    if not isinstance(trace, xr.Dataset):
        raise InputError(f"{source} = {trace!r:.60}: expected an xarray.Dataset")
    check_attributes(trace.attrs, source)
    for key in (*trace.attrs, *trace.variables):
        if not isinstance(key, str):
            raise TraceError(f"{source}: {key!r:.60}: the name of an attribute or a variable must be a string")
    for name in VARIABLES:
        if name in trace.coords:
            raise TraceError(f"{source}: {name} is a coordinate, expected a variable")
    for name in REQUIRED:
        if name not in trace.variables:
            raise TraceError(f"{source}: lacks the variable {name!r}")
    for name in [name for name in VARIABLES if name in trace.variables]:
        variable = trace.variables[name]
        if variable.dims != VARIABLES[name].dims:
            raise TraceError(f"{source}: {name} has dimensions {variable.dims}, not {VARIABLES[name].dims}")
        if variable.dtype.kind not in "iufb":
            raise TraceError(f"{source}: {name} has dtype {variable.dtype}: expected numbers")
    for dim, attribute in SIZES.items():
        size = trace.sizes.get(dim, trace.attrs[attribute])
        if size != trace.attrs[attribute]:
            raise TraceError(f"{source}: {dim} has size {size}, {attribute} = {trace.attrs[attribute]}")
    _check_forms(trace, source)


def _check_forms(trace: xr.Dataset, source: str) -> None:
    """Check that laws are there in one form, both of them, with the error that it states."""
    forms = {"float32": LAWS, "float16": COMPACT[:2], "top-K": COMPACT[2:]}
    there = {form: [name for name in names if name in trace.variables] for form, names in forms.items()}
    for form, names in there.items():
        if names and len(names) < len(forms[form]):
            absent = next(name for name in forms[form] if name not in names)
            raise TraceError(f"{source}: holds {names[0]}, but lacks {absent}")
    if there["top-K"] and not 1 <= trace.sizes["rank"] <= trace.attrs["vocab_size"]:
        raise TraceError(f"{source}: rank has size {trace.sizes['rank']}, vocab_size = {trace.attrs['vocab_size']}")
    if form_of(trace) not in ("none", "float32") and set(trace.attrs.get("law_error", {})) != set(LAWS):
        raise TraceError(f"{source}: law_error = {trace.attrs.get('law_error')!r:.60}: compact laws state their error")


UNCOVERED = (2**16, 2**10)
"""Sequences and iterations that no chunk of ``base`` is there for, at most: what nobody wrote has none."""

RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("draft_prob_of_token", "target_prob_of_token", "total_variation", "uniform"), (0.0, 1.0)),
    **dict.fromkeys(("collision_independent", "collision_gumbel"), (0.0, 1.0)),
    **dict.fromkeys(("entropy", "renyi2"), (0.0, math.inf)),
}
"""Between which numbers a variable must lie, to rounding."""


# -- arrays of a store -----------------------------------------------------------------------------------------------

_SCALARS, _TOKENS, _LAWS = 256, 64, 32
"""Bytes that validation and measures take of a slot of a sequence, of one of its tokens, of an entry of a law."""


def check_arrays(store: GuardedStore, names: list[str]) -> Happened:
    """Check what is declared of the arrays of a trace against the schema, the chunks that are there, and the limit.

    Parameters
    ----------
    store : GuardedStore
        Whose attributes are checked.
    names : list of str
        Arrays to be read.

    Returns
    -------
    Happened
        Sequences, and how many iterations of each were written.

    Raises
    ------
    TraceError
        Naming the array.
    """
    blocks = [tuple(block) for block in store.attributes["blocks"]]
    for name in names:
        _check_declared(store.arrays[name], name, store.what)
    sizes = _common_sizes(store, names, bool(store.attributes["complete"]))
    reached = max((written for *_, written in blocks), default=0)
    begun = blocks[-1][1] if blocks else 0
    if not store.attributes["complete"]:
        begun = max((stop for _, stop, written in blocks if written), default=0)  # a batch of which nothing is there
    fits = (sizes["sequence"], sizes["iteration"]) == (begun, reached) if store.attributes["complete"] else (
        sizes["sequence"] >= begun and sizes["iteration"] >= reached
    )  # fmt: skip
    if not fits:
        raise TraceError(
            f"{store.what}: arrays have {sizes['sequence']} sequences and {sizes['iteration']} iterations, blocks say "
            f"{begun} and {reached}"
        )
    _check_memory(sizes, reached, store.what)
    for name in names:
        _check_absent(store, name, reached)
    blocks = [block for block in blocks if block[1] <= begun]
    _check_there(store, blocks, names, begun, reached)
    return Happened(np.repeat([written for *_, written in blocks], [stop - start for start, stop, _ in blocks]))


def _check_declared(header: Header, name: str, what: str) -> None:
    variable = VARIABLES[name]
    if header.dims != variable.dims:
        raise TraceError(f"{what}: {name} has dimensions {header.dims}, not {variable.dims}")
    if header.dtype != np.dtype(variable.dtype):
        raise TraceError(f"{what}: {name} has dtype {header.dtype}, not {variable.dtype}")
    if not (header.fill == -1 if variable.is_integer else math.isnan(header.fill)):
        missing = -1 if variable.is_integer else "NaN"
        raise TraceError(
            f"{what}: {name}: fill_value = {header.fill:g}: must be {missing}, or what is lost reads as data"
        )
    scale = header.attributes.get("scale_factor", 1.0)
    if isinstance(scale, bool) or scale != variable.scale:
        raise TraceError(f"{what}: {name}: scale_factor = {scale!r:.60}, not {variable.scale}")
    decoded = {"add_offset", "missing_value", "_Unsigned"} & header.attributes.keys()
    fill = header.attributes.get("_FillValue")
    if decoded or (variable.is_integer and fill != -1):
        raise TraceError(f"{what}: {name}: attributes {header.attributes!r:.120}: say of missing values what is not so")


def _common_sizes(store: GuardedStore, names: list[str], complete: bool) -> dict[str, int]:
    """Sizes of the dimensions; a writer that was stopped while it made room leaves arrays of unequal sizes."""
    sizes: dict[str, int] = {}
    for name in names:
        for dim, size in zip(store.arrays[name].dims, store.arrays[name].shape, strict=True):
            if sizes.setdefault(dim, size) != size and (complete or dim not in ("sequence", "iteration")):
                raise TraceError(f"{store.what}: {name}: {dim} has size {size}, elsewhere {sizes[dim]}")
            sizes[dim] = min(sizes[dim], size)
    for dim, attribute in SIZES.items():
        if sizes.get(dim, store.attributes[attribute]) != store.attributes[attribute]:
            expected = store.attributes[attribute]
            raise TraceError(f"{store.what}: {dim} has size {sizes[dim]}, {attribute} = {expected}")
    return sizes


def _check_memory(sizes: dict[str, int], reached: int, what: str) -> None:
    slots = sizes["slot"]
    check_memory(reached * slots * _SCALARS, f"{what}: one sequence of {reached} iterations of {slots} slots")
    check_memory(sizes["position"] * _TOKENS, f"{what}: one sequence of {sizes['position']} tokens")
    if "vocab" in sizes:
        check_memory(slots * sizes["vocab"] * _LAWS, f"{what}: laws of {slots} slots over {sizes['vocab']} tokens")


ABSENT = 2**12
"""Chunks of one variable that are looked for and not there, at most, for one row of sequences: each takes time, and
what was never recorded has none."""


def _check_absent(store: GuardedStore, name: str, reached: int) -> None:
    """Check that chunks are not so small for what is declared that looking for them would not end."""
    header, there = store.arrays[name], store.chunks[name]
    sizes = [
        min(size, reached) if dim == "iteration" else size for dim, size in zip(header.dims, header.shape, strict=True)
    ]
    looked_for = math.prod(-(-size // chunk) for size, chunk in zip(sizes[1:], header.chunks[1:], strict=True))
    if looked_for > len(there) + ABSENT:
        raise TraceError(
            f"{store.what}: {name}: one sequence of shape {sizes[1:]} would be {looked_for} chunks, of which "
            f"{len(there)} are there"
        )


def _check_there(
    store: GuardedStore, blocks: list[tuple[int, ...]], names: list[str], begun: int, reached: int
) -> None:
    """Check that chunks are there: some of ``base`` nearly everywhere, and all of laws, which are written always."""
    header = store.arrays["base"]
    for axis, size in enumerate((begun, reached)):
        covered = len({index[axis] for index in store.chunks["base"]}) * header.chunks[axis]
        if size > covered + UNCOVERED[axis]:
            raise TraceError(f"{store.what}: {header.dims[axis]} has size {size}, but chunks of base are for {covered}")
    for name in (name for name in names if "vocab" in VARIABLES[name].dims):
        header, there = store.arrays[name], store.chunks[name]
        for start, stop, written in blocks:
            needed = chunks_between(header, [(start, stop), (0, written)])
            lost = next((index for index in needed if index not in there), None) if written and stop > start else None
            if lost is not None:
                place = "/".join(map(str, lost))
                raise TraceError(f"{store.what}: {name}/c/{place}: the chunk is gone")
