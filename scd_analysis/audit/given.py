"""Laws that a trace brings along, looked at before anything is judged by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import TraceError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.trace.coherence import JUDGED_BY
from scd_analysis.trace.damage import named
from scd_analysis.trace.schema import BY_SLOT, LAWS
from scd_analysis.validate import LAW_TOLERANCE, check_laws

if TYPE_CHECKING:
    import xarray as xr

Bools = npt.NDArray[np.bool_]

PASSES_AT_ONCE = 16
"""Passes whose laws are read together: a chunk of a trace."""

PUT_TOGETHER = "laws_put_together"
"""Attribute of a trace whose laws were asked of the model again."""


class Given:
    """What a trace holds of laws, part by part: checked, and completed where it follows."""

    def __init__(self) -> None:
        self._recorded: dict[str, bool] = {}

    def complete(self, part: xr.Dataset, offset: int) -> xr.Dataset:
        """Return some sequences with the probabilities of drafts, which recorded laws give.

        Parameters
        ----------
        part : xarray.Dataset
            As recorded, few enough sequences to load.
        offset : int
            Number of the first sequence.

        Raises
        ------
        LawError
            Naming variable, sequence, pass and slot of a recorded law that is none.
        TraceError
            If a number of laws is recorded of the drafts of some sequences and not of others.
        """
        used = ~np.isnan(part["draft_token"].values)
        self._check_same(part, used, offset)
        unknown = {f"{name[:-1]}_of_token": name for name in LAWS if name in part}
        unknown = {number: name for number, name in unknown.items() if np.isnan(part[number].values).all()}
        derived = {number: (BY_SLOT, _of_drafts(part, name, offset)) for number, name in unknown.items()}
        return part.assign(derived) if derived else part

    def _check_same(self, part: xr.Dataset, used: Bools, offset: int) -> None:
        if not used.any():
            return
        for name in JUDGED_BY:
            found = not np.isnan(part[name].values[used]).all()
            if self._recorded.setdefault(name, found) != found:
                s, t, k = (int(i) for i in np.argwhere(used)[0])
                what = (
                    "recorded, and missing of earlier sequences" if found else "missing, and recorded of earlier ones"
                )
                raise TraceError(f"{name}{[offset + s, t, k]}: {what}")


def _of_drafts(part: xr.Dataset, name: str, offset: int) -> Floats:
    """What laws give the drafts that were drawn from them or verified against them, Float[S, T, L]."""
    tokens = part["draft_token"].values
    out = np.full(tokens.shape, np.nan)
    for start, laws in law_blocks(part, name, offset):
        block = slice(start, start + laws.shape[1])
        index = np.nan_to_num(tokens[:, block]).astype(np.int64)
        out[:, block] = np.take_along_axis(laws, index[..., None], axis=-1)[..., 0]
    return np.where(np.isnan(tokens), np.nan, out)


def law_blocks(trace: xr.Dataset, name: str, offset: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Read the laws of a trace, a few passes at a time, and check them where there is a draft.

    Parameters
    ----------
    trace : xarray.Dataset
    name : str
        ``"draft_probs"`` or ``"target_probs"``.
    offset : int
        Number of the first sequence.

    Yields
    ------
    tuple of (int, Float[S, t, L, V])
        The first pass, and laws as they are stored. Laws that were put together again, and not recorded, are NaN
        where they could not be told.

    Raises
    ------
    LawError
        Naming variable, sequence, pass and slot.
    """
    used = ~np.isnan(trace["draft_token"].values)
    for start in range(0, trace.sizes["iteration"], PASSES_AT_ONCE):
        block = slice(start, start + PASSES_AT_ONCE)
        with named("trace", name):
            laws = trace[name].isel(iteration=block).values
        if not trace.attrs.get(PUT_TOGETHER, False):
            _check(laws, used[:, block], name, (offset, start))
        yield start, laws


def take_laws(trace: xr.Dataset, name: str, offset: int, places: list[tuple[Longs, Longs]]) -> list[Floats | None]:
    """Take the laws at some places a position, Float[S, N, V] each; None where laws were not recorded.

    A few passes are read at a time: all laws of a window are many times as many as those that a position is judged by.

    Parameters
    ----------
    trace : xarray.Dataset
    name, offset
        See :func:`law_blocks`.
    places : list of (Long[S, N], Long[S, N])
        Passes and slots, -1 where there is none.
    """
    if name not in trace:
        return [None] * len(places)
    out = [np.full((*slot.shape, trace.sizes["vocab"]), np.nan) for _, slot in places]
    for start, block in law_blocks(trace, name, offset):
        for (iteration, slot), laws in zip(places, out, strict=True):
            s, j = np.nonzero((iteration >= start) & (iteration < start + block.shape[1]))
            laws[s, j] = block[s, iteration[s, j] - start, slot[s, j]]
    return list(out)


def _check(laws: npt.NDArray[Any], used: Bools, name: str, where: tuple[int, int]) -> None:
    with np.errstate(invalid="ignore"):
        sound = (laws.min(axis=-1) >= 0) & (np.abs(laws.sum(axis=-1, dtype=np.float64) - 1) <= LAW_TOLERANCE)
    bad = np.argwhere(used & ~sound)
    if len(bad):
        s, t, k = (int(i) for i in bad[0])
        check_laws(laws[s, t, k].astype(np.float64), f"{name}[{where[0] + s}, {where[1] + t}, {k}]")
