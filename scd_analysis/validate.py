"""One small check for every recurring argument. NumPy only; tensors are converted at the edge.

Messages read ``argument[index] = value: what is wrong``.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError, LawError, UnknownNameError

LAW_TOLERANCE = 1e-4
"""How far from one a law's sum may be: float32 softmax over 65,536 entries stays within 1e-5."""


_FLOATS = ("torch.float16", "torch.float32", "torch.float64")
"""Types of tensors that NumPy has, too."""


def as_array(value: Any, name: str, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Convert an array, a tensor on any device, or a nested sequence to a NumPy array.

    Raises
    ------
    InputError
        If ``value`` cannot be converted; integers are not made by cutting fractions off.
    """
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = _of_tensor(value, name)
    try:
        array = np.asarray(value)
        if array.dtype.kind == "f" and np.issubdtype(dtype, np.integer):
            _check_whole(array, name)
        return array.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} is not an array of numbers: {error}") from None


def _of_tensor(value: Any, name: str) -> npt.NDArray[Any]:
    """Return what a tensor of any layout, type and device holds, if it holds numbers."""
    try:
        value = value.detach()
        if str(value.layout) != "torch.strided":
            value = value.to_dense()
        if value.is_floating_point() and str(value.dtype) not in _FLOATS:
            value = value.float()
        return np.asarray(value.cpu().resolve_conj().resolve_neg().numpy())
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:  # on the device "meta", quantised, fake
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        kind = f"{value.dtype} on {value.device}, {value.layout}"
        raise InputError(f"{name} is a tensor ({kind}) that cannot be read: {first_line}") from None


def _check_whole(array: npt.NDArray[Any], name: str) -> None:
    bad = array != np.rint(array)
    if bad.any():
        first = np.argwhere(bad)[0]
        raise InputError(f"{name}{_at(first)} = {array[tuple(first)]}: must be a whole number")


def _at(index: Iterable[Any]) -> str:
    inside = ", ".join(str(int(i)) for i in index)
    return f"[{inside}]" if inside else ""


def check_laws(laws: npt.NDArray[np.float64], name: str, axis: int = -1) -> None:
    """Check that ``laws`` are probabilities that sum to one along ``axis``.

    Raises
    ------
    LawError
        Naming the first offending entry or sum.
    """
    if laws.ndim == 0 or laws.shape[axis] == 0:
        raise LawError(f"{name} has shape {laws.shape}: a law needs at least one entry along axis {axis}")
    for bad, what in ((np.isnan(laws), "is NaN"), (laws < 0, "is negative"), (np.isinf(laws), "is infinite")):
        if bad.any():
            first = np.argwhere(bad)[0]
            raise LawError(f"{name}{_at(first)} = {laws[tuple(first)]}: a probability {what}")
    total = laws.sum(axis=axis)
    off = np.abs(total - 1) > LAW_TOLERANCE
    if off.any():
        first = np.argwhere(off)[0]
        value = total[tuple(first)] if total.ndim else total
        raise LawError(f"{name}{_at(first)} sums to {float(value):.6g}: a law sums to 1 within {LAW_TOLERANCE:g}")


def check_same_shape(first: npt.NDArray[Any], second: npt.NDArray[Any], names: tuple[str, str]) -> None:
    """Check that two arrays agree in shape, so that nothing is broadcast by accident.

    Raises
    ------
    InputError
        Naming both shapes.
    """
    if first.shape != second.shape:
        raise InputError(f"{names[0]} has shape {first.shape} but {names[1]} has shape {second.shape}")


def check_tokens(tokens: npt.NDArray[np.int64], vocab_size: int, name: str) -> None:
    """Check that every token lies in ``0 ... vocab_size - 1``.

    Raises
    ------
    InputError
        Naming the first token outside the vocabulary.
    """
    bad = (tokens < 0) | (tokens >= vocab_size)
    if bad.any():
        first = np.argwhere(bad)[0]
        raise InputError(f"{name}{_at(first)} = {tokens[tuple(first)]}: not a token of a vocabulary of {vocab_size}")


def check_integer(value: Any, name: str) -> int:
    """Check that ``value`` is a whole number, and return it as an ``int``.

    Raises
    ------
    InputError
        Naming the value.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"{name} = {value!r}: must be a whole number") from None


def check_at_least(value: int | float, low: int | float, name: str) -> None:
    """Check ``value >= low``.

    Raises
    ------
    InputError
        Naming the value.
    """
    if not value >= low:
        raise InputError(f"{name} = {value}: must be at least {low}")


def check_between(value: float, low: float, high: float, name: str, *, open_ends: bool = False) -> None:
    """Check ``low <= value <= high``, or ``low < value < high`` with ``open_ends``.

    Raises
    ------
    InputError
        Naming the value.
    """
    inside = low < value < high if open_ends else low <= value <= high
    if not inside:
        ends = "strictly between" if open_ends else "between"
        raise InputError(f"{name} = {value}: must lie {ends} {low} and {high}")


def check_known(value: str, known: Iterable[str], name: str) -> None:
    """Check that ``value`` is one of the ``known`` names.

    Raises
    ------
    UnknownNameError
        Listing them.
    """
    names = list(known)
    if value not in names:
        raise UnknownNameError(f"{name}={value!r} is not known; known: {', '.join(names)}")
