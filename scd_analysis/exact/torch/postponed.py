"""PyTorch operations that look at postponed decisions one by one, and only as far as they must.

``accept.cumprod(-1)`` needs nothing after the first rejection: L + 1 branches instead of 2^L.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from scd_analysis.exact.numbers import is_random
from scd_analysis.exact.run import Run
from scd_analysis.exact.torch.entries import write_terms
from scd_analysis.exact.torch.order import place_rows
from scd_analysis.exact.torch.schemas import schema
from scd_analysis.exact.torch.shadow import Undrawn, raw_terms

LOOKS = frozenset({"cumprod", "all", "any", "logical_not", "bitwise_not"})
"""Operations that are done here on whole numbers and booleans."""


def looks(run: Run, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do an operation on postponed decisions; None when it has to be done in another way."""
    given = schema(func).bind(args, kwargs)
    tensor = given["self"]
    if tensor.dtype.is_floating_point or any(is_random(term) for term in raw_terms(run, tensor)):
        return None
    name = schema(func).name
    if name in ("logical_not", "bitwise_not"):
        return _negated(run, func, tensor) if tensor.dtype == torch.bool else None
    if name == "cumprod":
        return _cumulated(run, tensor, given["dim"], given.get("dtype") or torch.int64)
    return _quantified(run, tensor, given, stop_at=name == "any")


def _value(entry: Any) -> Any:
    return entry.draw() if isinstance(entry, Undrawn) else entry


def _negated(run: Run, func: Any, tensor: torch.Tensor) -> torch.Tensor:
    out = func(tensor)
    entries = raw_terms(run, tensor)
    places = [place for place, entry in enumerate(entries) if isinstance(entry, Undrawn)]
    write_terms(run, out, places, [Undrawn(_not(entries[place])) for place in places])
    return out  # type: ignore[no-any-return]


def _not(entry: Undrawn) -> Callable[[], int]:
    return lambda: not entry.draw()


def _raw_rows(run: Run, tensor: torch.Tensor, dim: int) -> list[list[Any]]:
    moved = tensor.movedim(dim, -1) if tensor.dim() else tensor.reshape(1)
    flat, width = raw_terms(run, moved), moved.shape[-1]
    return [flat[start : start + width] for start in range(0, len(flat), width)] if width else []


def _cumulated(run: Run, tensor: torch.Tensor, dim: int, dtype: torch.dtype) -> torch.Tensor:
    rows = []
    for row in _raw_rows(run, tensor, dim):
        product, products = 1, []
        for entry in row:
            product = product * int(_value(entry)) if product else 0
            products.append(product)
        rows.append(products)
    return place_rows(run, tensor, dim, rows, dtype)


def _quantified(run: Run, tensor: torch.Tensor, given: dict[str, Any], *, stop_at: bool) -> torch.Tensor | None:
    """``any`` stops at the first True, ``all`` at the first False."""
    if "dim" not in given:
        found = any(bool(_value(entry)) == stop_at for entry in raw_terms(run, tensor))
        return torch.tensor(found == stop_at, device=tensor.device)
    dim = given["dim"]
    if not isinstance(dim, int) or not tensor.dim():
        return None
    rows = [[any(bool(_value(entry)) == stop_at for entry in row) == stop_at] for row in _raw_rows(run, tensor, dim)]
    out = place_rows(run, tensor, dim, rows, torch.bool)
    return out if given["keepdim"] else out.squeeze(dim)
