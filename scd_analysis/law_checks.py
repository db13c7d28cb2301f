"""Stored laws, checked where they are read and before they are normalised: what is no law is handed to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import LawError, TraceError
from scd_analysis.schema import HALF_SCALE, LAWS
from scd_analysis.store_headers import whole
from scd_analysis.validate import LAW_TOLERANCE

if TYPE_CHECKING:
    import xarray as xr

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_ROUNDING = LAW_TOLERANCE + 1e-6
_WHOLE = 1 - _ROUNDING, 1 + _ROUNDING
"""What the entries of a whole law sum to: as given to the writer, then rounded to float32."""


def check_law_error(attributes: dict[str, Any], source: str) -> None:
    """Check the error that compact laws are stated to have.

    Raises
    ------
    TraceError
        If it is not ``{name: {"max": ..., "mean": ..., "laws": ...}}`` with total variations.
    """
    stated = attributes.get("law_error", {})
    if not isinstance(stated, dict) or stated.keys() - set(LAWS):
        raise TraceError(f"{source}: law_error = {stated!r:.60}: must be an object with {' and '.join(LAWS)}")
    for name, one in stated.items():
        right = isinstance(one, dict) and whole(one.get("laws"), 0, 2**63 - 1)
        if not right or not all(_is_share(one.get(part)) for part in ("max", "mean")):
            what = "must have max and mean, total variations, and laws, how many"
            raise TraceError(f"{source}: law_error[{name!r}] = {one!r:.60}: {what}")


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e-6 <= value <= 1 + 1e-6


def sums_of(trace: xr.Dataset, name: str, form: str, vocab_size: int) -> tuple[float, float]:
    """Between which numbers the entries of a stored law sum: about one, but for what rounding or cutting does to it."""
    rounding = _ROUNDING
    if form == "float16":
        rounding += 2.0**-11 + vocab_size * HALF_SCALE * 2.0**-24  # each to the nearest, but the smallest upwards
    left_out = 0.0
    if form.startswith("top-"):
        check_law_error(trace.attrs, "trace")
        left_out = float(trace.attrs.get("law_error", {}).get(name, {}).get("max", 0.0))
    return 1 - left_out - rounding, 1 + rounding


def check_stored(laws: Array, name: str, sums: tuple[float, float] = _WHOLE, first: int = 0) -> Array:
    """Check stored laws before anything is made of them; one that is NaN throughout is none, as in an unused slot.

    Parameters
    ----------
    laws : ndarray
        Float[S, T, L, V], or whatever is kept of them.
    name : str
        The variable.
    sums : (float, float)
        Between which numbers the entries of each must sum.
    first : int
        Sequence of the trace that the first is.

    Returns
    -------
    ndarray
        The laws, as they are.

    Raises
    ------
    LawError
        Naming the variable, the index and the value.
    """
    missing = np.isnan(laws)
    here = np.asarray(~missing.all(axis=-1))
    for bad, what in (
        (missing & here[..., None], "is NaN"),
        (laws < 0, "is negative"),
        (np.isinf(laws), "is infinite"),
    ):
        if bad.any():
            index = np.argwhere(bad)[0]
            raise LawError(f"{name}{_counted(index, first)} = {laws[tuple(index)]}: a probability {what}")
    total = laws.sum(axis=-1, dtype=np.float64)
    off = here & ~((total >= sums[0]) & (total <= sums[1]))
    if off.any():
        index = np.argwhere(off)[0]
        raise LawError(
            f"{name}{_counted(index, first)} sums to {total[tuple(index)]:.6g}: expected {sums[0]:.6g} to {sums[1]:.6g}"
        )
    return laws


def _counted(index: Array, first: int) -> list[int]:
    return [int(i) + (first if axis == 0 else 0) for axis, i in enumerate(index)]


def check_of_drafts(trace: xr.Dataset, laws: Floats, name: str, first: int = 0) -> None:
    """Check that a trace that stores laws has one for every draft.

    Parameters
    ----------
    trace : xarray.Dataset
        With ``draft_token``.
    laws : Float[S, T, L, V]
    name : str
    first : int
        Sequence of the trace that the first is.

    Raises
    ------
    LawError
        Naming the law that is missing.
    """
    lost = ~np.isnan(trace["draft_token"].values) & np.isnan(laws[..., 0])
    if lost.any():
        raise LawError(f"{name}{_counted(np.argwhere(lost)[0], first)} = nan: the law of this draft is missing")


def check_kept(tokens: Floats, probs: Floats, name: str, vocab_size: int, first: int = 0) -> None:
    """Check that the tokens of a cut law are different ones of the vocabulary, there where their probabilities are."""
    bad = np.isnan(tokens) != np.isnan(probs)
    bad |= (
        (tokens < 0)
        | (tokens >= vocab_size)
        | (np.floor(tokens) != np.nan_to_num(tokens, nan=-1.0)) & ~np.isnan(tokens)
    )
    ordered = np.sort(tokens, axis=-1)
    bad[..., :1] |= (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1, keepdims=True)
    if bad.any():
        index = np.argwhere(bad)[0]
        raise TraceError(
            f"{name}{_counted(index, first)} = {tokens[tuple(index)]:g}: kept tokens are different ones of {vocab_size}"
        )
