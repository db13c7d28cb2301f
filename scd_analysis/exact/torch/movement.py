"""PyTorch operations that only move, select or overwrite entries: done once on the values and once on the shadow."""

from __future__ import annotations

from typing import Any

import torch

from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.run import Run
from scd_analysis.exact.torch.elementwise import converted
from scd_analysis.exact.torch.memory import Shadow, plain_item
from scd_analysis.exact.torch.schemas import schema
from scd_analysis.exact.torch.shadow import settle, shadow_of, tensors_in

MOVES = frozenset(
    [
        "clone",
        "_to_copy",
        "copy",
        "copy_",
        "cat",
        "concat",
        "stack",
        "index",
        "_unsafe_index",
        "index_select",
        "gather",
        "where",
        "masked_select",
        "masked_fill",
        "masked_fill_",
        "masked_scatter",
        "masked_scatter_",
        "index_put",
        "index_put_",
        "_index_put_impl_",
        "_unsafe_index_put",
        "scatter",
        "scatter_",
        "index_copy",
        "index_copy_",
        "index_fill",
        "index_fill_",
        "fill",
        "fill_",
        "zero",
        "zero_",
        "flip",
        "roll",
        "repeat",
        "repeat_interleave",
        "constant_pad_nd",
        "take",
        "take_along_dim",
        "tril",
        "triu",
        "tril_",
        "triu_",
        "slice_scatter",
        "select_scatter",
        "diagonal_scatter",
        "diag_embed",
        "unfold_copy",
        "view_copy",
        "expand_copy",
        "permute_copy",
        "slice_copy",
        "select_copy",
        "t_copy",
        "transpose_copy",
        "unsqueeze_copy",
        "squeeze_copy",
        "detach_copy",
        "alias_copy",
        "split_copy",
        "unbind_copy",
        "split_with_sizes_copy",
        "as_strided_copy",
        "narrow_copy",
        "reshape_copy",
        "_reshape_copy",
        "block_diag",
        "rot90",
        "tile",
        "put",
        "put_",
        "_unsafe_masked_index",
        "contiguous",
        "lift",
        "lift_fresh_copy",
        "channel_shuffle",
        "pixel_shuffle",
        "pixel_unshuffle",
        "reflection_pad1d",
        "replication_pad1d",
        "im2col",
        "unsafe_split",
        "unsafe_split_with_sizes",
        "unsafe_chunk",
        "chunk",
        "_pin_memory",
        "moveaxis",
        "movedim",
        "combinations",
        "cartesian_prod",
    ]
)
"""Operations that copy entries and compute nothing."""

_DATA = frozenset({"self", "tensors", "tensor", "input", "other", "src", "source", "value", "values", "fill_value"})
_DROPPED = frozenset({"dtype", "layout", "device", "pin_memory", "non_blocking", "memory_format"})


def move(run: Run, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do a movement on tensors that hold variates."""
    shadow = shadow_of(run)
    about = schema(func)
    if about.name in ("copy_", "_to_copy") and _decides(about.name, args, kwargs):
        return converted(run, func, args, kwargs)
    names, in_place = about.names, about.in_place
    given = about.bind(args, kwargs)
    if given.get("accumulate") or given.get("reduce") is not None:
        refuse(about.name, "adding or multiplying variates in place is not followed")
    for name, value in given.items():
        if name not in _DATA or (in_place and shadow.is_shared(args[0])):
            for tensor in tensors_in(value):
                settle(run, tensor)
    if not any(shadow.ids(tensor) is not None for name in _DATA & given.keys() for tensor in tensors_in(given[name])):
        return func(*args, **kwargs)
    shadow_args = [
        _as_shadow(shadow, name, value, target=in_place and place == 0)
        for place, (name, value) in enumerate(zip(names, args, strict=False))
    ]
    shadow_kwargs = {
        name: _as_shadow(shadow, name, value, target=False) for name, value in kwargs.items() if name not in _DROPPED
    }
    if about.name in ("copy_", "clone", "copy"):
        shadow_args = shadow_args[: 1 if about.name == "clone" else 2]
    out = func(*args, **kwargs)
    ids = func(*shadow_args, **shadow_kwargs)
    if in_place:
        return out
    for tensor, number in zip(tensors_in(out), tensors_in(ids), strict=True):
        if plain_item(number.any()):
            shadow.writable(tensor).copy_(number)
    return out


def _decides(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a copy turns variates into integers, or anything into booleans."""
    source, made = (args[1], args[0].dtype) if name == "copy_" else (args[0], kwargs.get("dtype") or args[0].dtype)
    if made.is_complex:
        refuse("a conversion to complex numbers", "complex variates are not followed")
    return not made.is_floating_point and (source.dtype.is_floating_point or made == torch.bool)


def _as_shadow(shadow: Shadow, name: str, value: Any, *, target: bool) -> Any:
    """Replace data by its shadow; indices and masks stay, on the CPU."""
    if isinstance(value, torch.Tensor):
        if target:
            return shadow.writable(value)
        if name not in _DATA:
            return value.cpu()
        ids = shadow.ids(value)
        return torch.zeros(value.shape, dtype=torch.int64) if ids is None else ids
    if isinstance(value, (list, tuple)):
        return [_as_shadow(shadow, name, item, target=target) for item in value]
    return 0 if name in _DATA and isinstance(value, (int, float)) else value  # a variate has become a tensor


def copy_out(run: Run, value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Write a result to ``out=``, or over an operand."""
    if target.shape != value.shape:
        target.resize_(value.shape)
    move(run, torch.ops.aten.copy_.default, (target, value), {})
    return target
