"""One small check for every recurring argument. NumPy only; tensors are converted at the edge.

Messages read ``argument[index] = value: what is wrong``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError, LawError, UnknownNameError

LAW_TOLERANCE = 1e-4
"""How far from one a law's sum may be: float32 softmax over 65,536 entries stays within 1e-5."""

SAME_LAW = 1e-3
"""How far two calls may differ in a probability: rounding in half precision stays below it, a leak does not."""

_NARROW = {
    "bfloat16": (2**-7, 2**-133),
    "float16": (2**-10, 2**-24),
    "float8_e4m3fn": (2**-3, 2**-9),
    "float8_e4m3fnuz": (2**-3, 2**-10),
    "float8_e5m2": (2**-2, 2**-16),
    "float8_e5m2fnuz": (2**-2, 2**-17),
}
"""Of formats in fewer than 32 bits: from one to the next larger number, and the smallest above zero."""

MOST_MISSING = 0.5
"""How far from one a sum may be at most: of laws with as many tokens as fp8 cannot tell, nothing would be left."""

MOST_TOKENS = 2**20
"""Of a sequence that is recorded or audited: beyond that, even tokens to ask a model with take gigabytes."""


def as_array(value: Any, name: str, dtype: npt.DTypeLike | None = np.float64) -> npt.NDArray[Any]:
    """Convert an array, a tensor on any device, or a nested sequence to a NumPy array.

    Parameters
    ----------
    value : array_like or tensor
        Sparse and quantised tensors are made dense, bfloat16 and narrower floats are widened.
    name : str
        How errors call it.
    dtype : dtype or None
        Of the result; None leaves the kind of the entries as it is.

    Raises
    ------
    InputError
        If ``value`` cannot be converted, or has no data (a tensor on the meta device, a masked entry); integers are not
        made by cutting fractions off, nor real numbers of complex ones.
    """
    if np.ma.is_masked(value):
        raise InputError(f"{name} has masked entries: there is no number behind them that counts")
    try:
        array = np.asarray(_on_cpu(value, name))
        if dtype is None:
            return array
        if array.dtype.kind == "c":
            raise InputError(f"{name} has dtype {array.dtype}: must be real")
        if np.issubdtype(dtype, np.integer):
            _check_whole(array, name, np.dtype(dtype))
        return array.astype(dtype, copy=False)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} is not an array of numbers: {error!s:.200}") from None


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor, without importing torch."""
    return hasattr(value, "detach")


def has_dimensions(value: Any) -> bool:
    """Whether a value is an array or a tensor already, and not a number or a nested sequence."""
    return hasattr(value, "ndim")


def kind_of(value: Any) -> str:
    """What an array or tensor calls the type of its entries; empty for anything else."""
    return str(getattr(value, "dtype", ""))


def _on_cpu(value: Any, name: str) -> Any:
    """A torch tensor as one that NumPy can read, without importing torch; anything else as it is."""
    if not is_tensor(value):
        return value
    if value.is_meta:
        raise InputError(f"{name} is a tensor on the meta device: it has no data")
    value = value.detach()
    if value.is_quantized:
        value = value.dequantize()
    if str(value.layout) != "torch.strided":
        value = value.to_dense()
    value = value.cpu().resolve_conj().resolve_neg()
    try:
        return value.numpy()
    except TypeError:  # a type that NumPy does not have: bfloat16, float8
        if not value.dtype.is_floating_point:
            raise InputError(f"{name} has dtype {value.dtype}, which NumPy does not have") from None
        return value.float().numpy()


def _check_whole(array: npt.NDArray[Any], name: str, dtype: np.dtype[Any]) -> None:
    if array.dtype.kind not in "fiu":
        return
    bad = array != np.rint(array) if array.dtype.kind == "f" else np.zeros(array.shape, dtype=bool)
    what = "must be a whole number"
    if not bad.any():
        ends = np.iinfo(dtype)
        bad = (array < ends.min) | (array > ends.max) | (array.astype(np.float64) >= float(ends.max) + 1)
        what = f"must lie between {ends.min} and {ends.max}"
    refuse_where(bad, array, name, what)


def index_text(index: Iterable[Any], first: int = 0) -> str:
    """An index in brackets, nothing for a number; its rows are counted from ``first``."""
    inside = ", ".join(str(int(i) + (first if axis == 0 else 0)) for axis, i in enumerate(index))
    return f"[{inside}]" if inside else ""


def refuse_where(
    bad: npt.NDArray[np.bool_],
    values: npt.NDArray[Any],
    name: str,
    what: str,
    error: type[InputError] = InputError,
    first: int = 0,
) -> None:
    """Refuse an array where an entry is bad.

    Parameters
    ----------
    bad, values : ndarray
        Of one shape.
    name : str
        How errors call the array.
    what : str
        What is wrong with the entry.
    error : type
        Of the error.
    first : int
        Number of the array's first row, where it is a part of something larger.

    Raises
    ------
    InputError
        Of the type asked for, naming the array, the index and the value.
    """
    if bad.any():
        index = np.argwhere(bad)[0]
        raise error(f"{name}{index_text(index, first)} = {values[tuple(index)]}: {what}")


def refuse_improbable(laws: npt.NDArray[Any], nan: npt.NDArray[np.bool_], name: str, first: int = 0) -> None:
    """Refuse laws where an entry is no probability: NaN (where ``nan`` says so), negative or infinite."""
    for bad, what in ((nan, "is NaN"), (laws < 0, "is negative"), (np.isinf(laws), "is infinite")):
        refuse_where(bad, laws, name, f"a probability {what}", LawError, first)


def precision_of(laws: Any) -> float:
    """Distance from one to the next larger number in the precision of laws as they came; zero from 32 bits on.

    Parameters
    ----------
    laws : array or tensor
        Only its dtype is looked at.
    """
    return _format_of(laws)[0]


def _format_of(laws: Any) -> tuple[float, float]:
    return _NARROW.get(kind_of(laws).removeprefix("torch."), (0.0, 0.0))


def law_tolerance(laws: Any, axis: int = -1) -> float:
    """How far from one the sum of a law may be that was made in this precision.

    In fewer than 32 bits every entry is rounded by at most half the precision times itself, or by half the smallest
    number where it is small, and so is the sum that all were divided by [1]_.

    Parameters
    ----------
    laws : array or tensor
        As it came: its dtype and shape are looked at.
    axis : int
        The vocabulary.

    References
    ----------
    .. [1] N. J. Higham (2002). Accuracy and Stability of Numerical Algorithms, sections 2.1 and 2.2. SIAM.
    """
    precision, smallest = _format_of(laws)
    underflow = laws.shape[axis] * smallest / 2 if smallest and len(laws.shape) else 0.0
    return min(LAW_TOLERANCE + precision + float(underflow), MOST_MISSING)


def as_laws(laws: Any, name: str, axis: int = -1) -> npt.NDArray[np.float64]:
    """Convert laws to float64 and check them; those in fewer than 32 bits are divided by their sums.

    Parameters
    ----------
    laws : array_like or tensor
    name : str
        How errors call it.
    axis : int
        The vocabulary.

    Raises
    ------
    LawError
        Naming the first entry or sum that is wrong.
    """
    found = as_array(laws, name)
    check_laws(found, name, axis, law_tolerance(laws, axis) if precision_of(laws) else LAW_TOLERANCE)
    return found / found.sum(axis=axis, keepdims=True) if precision_of(laws) else found


def check_laws(laws: npt.NDArray[np.float64], name: str, axis: int = -1, tolerance: float = LAW_TOLERANCE) -> None:
    """Check that ``laws`` are probabilities that sum to one along ``axis``, within a tolerance.

    Raises
    ------
    LawError
        Naming the first offending entry or sum.
    """
    if laws.ndim == 0 or laws.shape[axis] == 0:
        raise LawError(f"{name} has shape {laws.shape}: a law needs at least one entry along axis {axis}")
    refuse_improbable(laws, np.isnan(laws), name)
    total = laws.sum(axis=axis)
    off = np.abs(total - 1) > tolerance
    if off.any():
        first = np.argwhere(off)[0]
        value = total[tuple(first)] if total.ndim else total
        raise LawError(f"{name}{index_text(first)} sums to {float(value):.6g}: a law sums to 1 within {tolerance:g}")


def check_model_laws(
    laws: npt.NDArray[np.float64], expected: tuple[int, ...], name: str, tolerance: float = LAW_TOLERANCE
) -> None:
    """Check that what a model's ``next_token_probs`` gave has the expected shape [B, t + 1, V], and holds laws.

    Raises
    ------
    InputError
        Naming both shapes.
    LawError
        Naming the first entry or sum that is wrong.
    """
    check_shape(laws, expected, name)
    check_laws(laws, name, tolerance=tolerance)


def check_shape(array: npt.NDArray[Any], expected: tuple[int, ...], name: str) -> None:
    """Check that an array has the expected shape.

    Raises
    ------
    InputError
        Naming both shapes.
    """
    if array.shape != expected:
        raise InputError(f"{name} has shape {array.shape}: expected {expected}")


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
    refuse_where((tokens < 0) | (tokens >= vocab_size), tokens, name, f"not a token of a vocabulary of {vocab_size}")


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
    if not _holds(lambda: value >= low, value, name):
        raise InputError(f"{name} = {value}: must be at least {low}")


def check_between(value: float, low: float, high: float, name: str, *, open_ends: bool = False) -> None:
    """Check ``low <= value <= high``, or ``low < value < high`` with ``open_ends``.

    Raises
    ------
    InputError
        Naming the value.
    """
    if not _holds(lambda: low < value < high if open_ends else low <= value <= high, value, name):
        ends = "strictly between" if open_ends else "between"
        raise InputError(f"{name} = {value}: must lie {ends} {low} and {high}")


def _holds(comparison: Callable[[], Any], value: Any, name: str) -> bool:
    try:
        return bool(comparison())
    except (TypeError, ValueError, RuntimeError):  # a string, an array of several
        raise InputError(f"{name} = {value!r:.60}: must be a number") from None


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
