"""PyTorch operations that decide an order: argmax and its kin, sorting, searching; and softmax, which keeps one."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from scd_analysis.exact import numbers
from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.numbers import Term, Unknown, Variate, is_random
from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.run import Run
from scd_analysis.exact.torch.entries import write_terms
from scd_analysis.exact.torch.schemas import schema
from scd_analysis.exact.torch.shadow import read_terms

Arguments = dict[str, Any]


def rows_of(run: Run, tensor: torch.Tensor, dim: int) -> tuple[list[list[Any]], torch.Size]:
    """Give the entries along ``dim``, one list a row, and the shape of the rows' arrangement."""
    moved = tensor.movedim(dim, -1) if tensor.dim() else tensor.reshape(1)
    flat, width = read_terms(run, moved), moved.shape[-1]
    return [flat[start : start + width] for start in range(0, len(flat), width)], moved.shape[:-1]


def place_rows(run: Run, like: torch.Tensor, dim: int, rows: list[list[Any]], dtype: torch.dtype) -> torch.Tensor:
    """Make a tensor from lists of entries along ``dim``; the inverse of `rows_of`."""
    arranged = like.movedim(dim, -1).shape[:-1] if like.dim() else torch.Size()
    width = len(rows[0]) if rows else 0
    flat = [entry for row in rows for entry in row]
    numbers = [0.0 if is_random(entry) else entry for entry in flat]
    out = torch.tensor(numbers, dtype=dtype, device=like.device).reshape(*arranged, width)
    out = out.movedim(-1, dim).contiguous() if like.dim() else out.reshape(())
    moved = out.movedim(dim, -1) if like.dim() else out
    places = [place for place, entry in enumerate(flat) if is_random(entry)]
    if places:
        write_terms(run, moved, places, [flat[place] for place in places])
    return out


def ranking(values: list[Any], count: int, *, largest: bool, what: str) -> list[int]:
    """Decide the indices of the ``count`` largest (or smallest) values, in order."""
    left = list(range(len(values)))
    order = []
    for _ in range(count):
        winner = numbers.extreme([values[index] for index in left], largest=largest, what=what)
        order.append(left.pop(winner))
    return order


def arg_extreme(run: Run, func: Any, args: tuple[Any, ...], kwargs: Arguments) -> torch.Tensor:
    """Argmax and argmin."""
    given = schema(func).bind(args, kwargs)
    largest = "max" in schema(func).name
    tensor, dim = given["self"], given["dim"]
    what = schema(func).name
    if dim is None:
        best = numbers.extreme(read_terms(run, tensor), largest=largest, what=what)
        shape = [1] * tensor.dim() if given["keepdim"] else []
        return torch.tensor(best, device=tensor.device).reshape(shape)
    rows, _ = rows_of(run, tensor, dim)
    order = [ranking(row, 1, largest=largest, what=what) for row in rows]
    out = place_rows(run, tensor, dim, order, torch.int64)
    return out if given["keepdim"] or not tensor.dim() else out.squeeze(dim)


def extreme_values(run: Run, func: Any, args: tuple[Any, ...], kwargs: Arguments) -> Any:
    """``max`` and ``min``, of everything or along a dimension."""
    given = schema(func).bind(args, kwargs)
    name = schema(func).name
    tensor, largest = given["self"], "max" in name
    if "dim" not in given:
        values = read_terms(run, tensor)
        best = values[numbers.extreme(values, largest=largest, what=name)]
        return _scalar(run, tensor, best)
    dim = given["dim"]
    rows, _ = rows_of(run, tensor, dim)
    order = [ranking(row, 1, largest=largest, what=name) for row in rows]
    out = _ordered(run, tensor, dim, rows, order)
    return out if given["keepdim"] or not tensor.dim() else tuple(part.squeeze(dim) for part in out)


def _scalar(run: Run, like: torch.Tensor, value: Any) -> torch.Tensor:
    out = torch.empty((), dtype=like.dtype, device=like.device)
    write_terms(run, out, [0], [value])
    return out


def extreme_over(run: Run, func: Any, args: tuple[Any, ...], kwargs: Arguments) -> torch.Tensor:
    """``amax`` and ``amin`` over any dimensions."""
    given = schema(func).bind(args, kwargs)
    name = schema(func).name
    tensor = given["self"]
    dims = [dim % tensor.dim() for dim in given["dim"]] if given["dim"] else list(range(tensor.dim()))
    kept = [dim for dim in range(tensor.dim()) if dim not in dims]
    flat = tensor.permute(*kept, *dims).reshape(*(tensor.shape[dim] for dim in kept), -1) if dims else tensor
    terms, width = read_terms(run, tensor.permute(*kept, *dims)), flat.shape[-1] if flat.dim() else 1
    rows = [terms[start : start + width] for start in range(0, len(terms), width)]
    best = [[row[numbers.extreme(row, largest=name == "amax", what=name)]] for row in rows]
    out = place_rows(run, flat, -1, best, tensor.dtype)
    shape = [1 if dim in dims else tensor.shape[dim] for dim in range(tensor.dim())]
    return out.reshape(shape if given["keepdim"] else [tensor.shape[dim] for dim in kept])


def _ordered(run: Run, tensor: torch.Tensor, dim: int, rows: list[list[Any]], order: list[list[int]]) -> Any:
    values = [[row[index] for index in ranks] for row, ranks in zip(rows, order, strict=True)]
    return (
        place_rows(run, tensor, dim, values, tensor.dtype),
        place_rows(run, tensor, dim, order, torch.int64),
    )


def sorted_values(run: Run, func: Any, args: tuple[Any, ...], kwargs: Arguments) -> Any:
    """``sort``, ``argsort`` and ``topk``."""
    given = schema(func).bind(args, kwargs)
    name = schema(func).name
    tensor, dim = given["self"], given.get("dim", -1)
    largest = given["largest"] if name == "topk" else given["descending"]
    rows, _ = rows_of(run, tensor, dim)
    count = given["k"] if name == "topk" else len(rows[0])
    order = [ranking(row, count, largest=largest, what=name) for row in rows]
    found = _ordered(run, tensor, dim, rows, order)
    return found[1] if name == "argsort" else found


def searched(run: Run, func: Any, args: tuple[Any, ...], kwargs: Arguments) -> torch.Tensor:
    """``searchsorted`` and ``bucketize`` of variates in constants."""
    given = schema(func).bind(args, kwargs)
    bins = given["sorted_sequence"] if "sorted_sequence" in given else given["boundaries"]
    values = given["self"]
    if given.get("sorter") is not None:
        refuse("searchsorted with a sorter", "sort the sequence before")
    right = given["right"] or given.get("side") == "right"
    queries = values if isinstance(values, torch.Tensor) else torch.as_tensor(values)
    terms = read_terms(run, queries)
    table = read_terms(run, bins)
    width = bins.shape[-1]
    per_row = queries.shape[-1] if bins.dim() > 1 else len(terms)
    found = []
    for place, term in enumerate(terms):
        start = (place // per_row) * width if bins.dim() > 1 else 0
        found.append(_insertion(term, table[start : start + width], right=right))
    dtype = torch.int32 if given["out_int32"] else torch.int64
    return torch.tensor(found, dtype=dtype, device=bins.device).reshape(queries.shape)


def _insertion(term: Any, table: list[Any], *, right: bool) -> int:
    """Binary search as PyTorch does it; one decision when the table is sorted."""
    if any(is_random(entry) for entry in table):
        refuse("searchsorted", "the sequence itself is random")
    if isinstance(term, Variate) and all(a <= b for a, b in pairwise(table)):
        return term.known.cut(term.source, term.chain, [term.known.number(entry) for entry in table])
    return bisect.bisect_right(table, term) if right else bisect.bisect_left(table, term)


def softmaxed(run: Run, func: Any, args: tuple[Any, ...], kwargs: Arguments) -> torch.Tensor:
    """Softmax and its logarithm: only the order within a row is kept."""
    given = schema(func).bind(args, kwargs)
    tensor, dim = given["self"], given["dim"]
    logarithm = "log" in schema(func).name
    rows, _ = rows_of(run, tensor, dim)
    low, high = (-float("inf"), 0.0) if logarithm else (0.0, 1.0)
    out = []
    for row in rows:
        name = len(run.terms)
        run.terms.append(0.0)  # so that the next row has another name
        out.append([_shifted(entry, name, low, high) for entry in row])
    return place_rows(run, tensor, dim, out, given.get("dtype") or tensor.dtype)


def _shifted(entry: Any, name: int, low: Number, high: Number) -> Term:
    if isinstance(entry, Variate):
        return numbers.increasing_unknown(entry, name, low, high)
    if not is_random(entry) and entry != -float("inf"):
        return Unknown("softmax", "numbers and variates share a row")
    return low if not is_random(entry) else entry


def summed(run: Run, func: Any, args: tuple[Any, ...], kwargs: Arguments) -> torch.Tensor:
    """``sum``, ``mean`` and ``cumsum``: followed while no two different variates are added."""
    given = schema(func).bind(args, kwargs)
    name = schema(func).name.rstrip("_")
    tensor = given["self"]
    dims: Any = given.get("dim")
    if name == "cumsum":
        rows, _ = rows_of(run, tensor, dims)
        return place_rows(run, tensor, dims, [_running(row) for row in rows], tensor.dtype)
    dims = [dims] if isinstance(dims, int) else list(dims) if dims else list(range(tensor.dim()))
    dims = [dim % tensor.dim() for dim in dims] if tensor.dim() else []
    kept = [dim for dim in range(tensor.dim()) if dim not in dims]
    terms = read_terms(run, tensor.permute(*kept, *dims))
    width = 1
    for dim in dims:
        width *= tensor.shape[dim]
    totals = [_running(terms[start : start + width])[-1] for start in range(0, len(terms), width)]
    if name == "mean":
        totals = [entry / width for entry in totals]
    shape = [1 if dim in dims else tensor.shape[dim] for dim in range(tensor.dim())]
    out = torch.empty(shape if given.get("keepdim") else [tensor.shape[dim] for dim in kept], dtype=tensor.dtype)
    write_terms(run, out, range(len(totals)), totals)
    return out.to(tensor.device) if tensor.device.type != "cpu" else out


def _running(row: list[Any]) -> list[Any]:
    sums: list[Any] = []
    for entry in row:
        sums.append(sums[-1] + entry if sums else entry)
    return sums


HANDLERS: dict[str, Callable[[Run, Any, tuple[Any, ...], Arguments], Any]] = {
    "argmax": arg_extreme,
    "argmin": arg_extreme,
    "max": extreme_values,
    "min": extreme_values,
    "amax": extreme_over,
    "amin": extreme_over,
    "sort": sorted_values,
    "argsort": sorted_values,
    "topk": sorted_values,
    "searchsorted": searched,
    "bucketize": searched,
    "_softmax": softmaxed,
    "softmax": softmaxed,
    "_log_softmax": softmaxed,
    "log_softmax": softmaxed,
    "sum": summed,
    "mean": summed,
    "cumsum": summed,
}
"""Handlers by the operation's name."""
