"""What a trace says: acceptance, collisions, distances between drafts, passes.

A trace is read a few sequences at a time, as many as fit in some 256 MiB of work, so that its size does not matter. A
*surviving* draft is one whose position was in the window at one pass and is still uncommitted at the next: the
positions on which drafts can change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from scd_analysis.errors import InputError
from scd_analysis.validate import check_at_least, check_between, check_known

if TYPE_CHECKING:
    import xarray as xr

FloatArray = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]

PREDICTED_BY = {"independent": "collision_independent", "maximal": "total_variation", "gumbel": "collision_gumbel"}
"""Variable of the trace that predicts collisions under each coupling (one minus it, for the maximal one)."""

PART_BYTES = 2**28
"""Work that sequences read together may take."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its confidence interval.

    Attributes
    ----------
    value, low, high : float
        Point and ends.
    level : float
        Confidence.
    n : int
        Independent units (sequences) it rests on.
    """

    value: float
    low: float
    high: float
    level: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}] ({self.level:.0%}, n = {self.n})"


def mean_interval(values: npt.ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of independent values with Student's interval; values that are NaN are left out.

    Parameters
    ----------
    values : array_like
        One per sequence.
    level : float
        Confidence, in (0, 1).

    Raises
    ------
    InputError
        If ``level`` is out of range or no value is left.

    References
    ----------
    Student: The probable error of a mean. Biometrika 6, 1908.
    """
    check_between(level, 0.0, 1.0, "level", open_ends=True)
    kept = np.asarray(values, dtype=np.float64)
    kept = kept[~np.isnan(kept)]
    if kept.size == 0:
        raise InputError("values: none is left to average")
    if kept.size == 1:
        return Estimate(float(kept[0]), float("-inf"), float("inf"), level, 1)
    half = float(stdtrit(kept.size - 1, (1 + level) / 2) * kept.std(ddof=1) / np.sqrt(kept.size))
    return Estimate(float(kept.mean()), float(kept.mean()) - half, float(kept.mean()) + half, level, kept.size)


def ratio_interval(numerators: npt.ArrayLike, denominators: npt.ArrayLike, level: float = 0.95) -> Estimate:
    """Sum of numerators over sum of denominators, one of each a sequence, with its linearised interval.

    Unlike a mean of ratios, it stays unbiased where the number of passes depends on what is measured.

    Parameters
    ----------
    numerators, denominators : array_like
        One each per sequence.
    level : float
        Confidence, in (0, 1).

    Raises
    ------
    InputError
        If ``level`` is out of range or the denominators add up to nothing.

    References
    ----------
    Cochran: Sampling techniques, 3rd edition, 1977, section 2.11.
    """
    top, bottom = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if not bottom.sum() > 0:
        raise InputError("denominators: none is left to average")
    ratio = float(top.sum() / bottom.sum())
    spread = mean_interval((top - ratio * bottom) / bottom.mean(), level)
    return Estimate(ratio, ratio + spread.low, ratio + spread.high, level, spread.n)


def speedup(trace: xr.Dataset, level: float = 0.95) -> Estimate:
    """Passes of ancestral sampling (N) over mean passes; the interval is that of the mean, inverted.

    Parameters
    ----------
    trace : xarray.Dataset
        Of any decoder.
    level : float
        Confidence.

    Returns
    -------
    Estimate
        Ratio, 1 for ancestral sampling.

    Raises
    ------
    InputError
        If sequences took no pass.
    """
    passes = mean_interval(trace["nfe"].values, level)
    if not passes.value > 0:
        raise InputError(f"nfe: {passes.value:g} passes a sequence: each takes one at least")
    length = trace.sizes["position"]
    low = length / passes.high
    high = length / passes.low if passes.low > 0 else float("inf")
    return Estimate(length / passes.value, low, high, level, passes.n)


def read(trace: xr.Dataset, names: tuple[str, ...], chunk: int = 64) -> Iterator[Arrays]:
    """Load some variables as NumPy arrays with unused entries NaN.

    Parts hold ``chunk`` sequences, or fewer where these, laid out by position, would take more than ``PART_BYTES``.
    """
    check_at_least(chunk, 1, "chunk")
    laid_out = trace.sizes["iteration"] * (trace.sizes["position"] + trace.sizes["slot"]) * 8
    chunk = min(chunk, max(1, PART_BYTES // max(1, 6 * laid_out)))
    for start in range(0, trace.sizes["sequence"], chunk):
        part = trace[list(names)].isel(sequence=slice(start, start + chunk)).load()
        yield {name: part[name].values for name in names}


def by_position(base: npt.NDArray[Any], values: npt.NDArray[Any], num_tokens: int) -> FloatArray:
    """Lay values of slots out by position: [S, T], [S, T, L] -> [S, T, N]; NaN outside the window."""
    sequences, iterations, window = values.shape
    out = np.full((sequences, iterations, num_tokens + window), np.nan)
    start = np.nan_to_num(base, nan=num_tokens)
    check_between(float(start.min(initial=0)), 0, num_tokens, "base")
    check_between(float(start.max(initial=0)), 0, num_tokens, "base")
    start = start.astype(np.int64)
    index = start[..., None] + np.arange(window)
    np.put_along_axis(out, index, values.astype(np.float64), axis=2)
    return out[..., :num_tokens]


def ages(base: npt.NDArray[Any], drafted: npt.NDArray[np.bool_]) -> FloatArray:
    """Passes since each slot's position was first drafted, for a trace that does not say.

    Parameters
    ----------
    base : ndarray
        Float[S, T], tokens committed before each pass; NaN where there was none.
    drafted : ndarray
        Bool[S, T, L], the slots that hold a draft: leading ones.

    Returns
    -------
    ndarray
        Float[S, T, L], NaN where there is no draft.
    """
    position = base[..., None] + np.arange(drafted.shape[2])
    ends = np.maximum.accumulate(np.nan_to_num(base) + drafted.sum(2), axis=1)
    entered = [np.searchsorted(*row, side="right") for row in zip(ends, position, strict=True)]
    age = np.arange(base.shape[1])[:, None] - np.reshape(entered, drafted.shape)
    return np.where(drafted, age, np.nan)


def acceptance_trajectories(trace: xr.Dataset) -> Iterator[FloatArray]:
    """Acceptance probability ``1 - TV`` of every position at every pass it was in the window for.

    Parameters
    ----------
    trace : xarray.Dataset
        Of any decoder that records ``total_variation``.

    Yields
    ------
    ndarray
        Float[S, T, N], NaN outside the window.
    """
    for part in read(trace, ("base", "total_variation")):
        yield 1 - by_position(part["base"], part["total_variation"], trace.sizes["position"])


def acceptance_by_token(trace: xr.Dataset) -> xr.Dataset:
    """Mean and variance over a token's trajectory of its acceptance probability, with the initial draft left out.

    Parameters
    ----------
    trace : xarray.Dataset
        Of any decoder.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``variance`` (population), ``passes``, and ``accepted``, the share of those passes that accepted;
        dims (sequence, position), NaN for a token that was never redrafted.
    """
    columns: dict[str, list[FloatArray]] = {"mean": [], "variance": [], "passes": [], "accepted": []}
    names = ("base", "total_variation", "accepted", "age")
    for part in read(trace, names):
        drafted = np.where(part["age"] > 0, 1.0, np.nan)
        laid = {
            "p": by_position(part["base"], (1 - part["total_variation"]) * drafted, trace.sizes["position"]),
            "a": by_position(part["base"], part["accepted"] * drafted, trace.sizes["position"]),
        }
        passes = (~np.isnan(laid["p"])).sum(1).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(laid["p"], axis=1) / passes
            square = np.nansum((laid["p"] - mean[:, None]) ** 2, axis=1) / passes
            share = np.nansum(laid["a"], axis=1) / passes
        for name, value in zip(columns, (mean, square, passes, share), strict=True):
            columns[name].append(value)
    dims = ("sequence", "position")
    return type(trace)({name: (dims, np.concatenate(values)) for name, values in columns.items()})


@dataclass(frozen=True)
class Collisions:
    """How often a redrafted position kept its token, and how often theory says it does.

    Attributes
    ----------
    measured : Estimate
        Share of redrafts that kept the token.
    predicted : Estimate
        Mean probability of that under the coupling named.
    coupling : str
        Of the prediction.
    difference : Estimate
        Measured minus predicted, paired redraft by redraft.
    """

    measured: Estimate
    predicted: Estimate
    coupling: str
    difference: Estimate


def collisions(trace: xr.Dataset, coupling: str, level: float = 0.95) -> Collisions:
    """Compare measured collisions ``x^(t+1) = x^t`` of surviving drafts with a coupling's collision probability.

    Parameters
    ----------
    trace : xarray.Dataset
        Of any decoder.
    coupling : str
        ``"independent"``, ``"maximal"`` or ``"gumbel"``.
    level : float
        Confidence of the intervals.

    Raises
    ------
    UnknownNameError
        For another coupling.

    References
    ----------
    So et al.: arXiv:2510.24211, collision probability.
    """
    check_known(coupling, PREDICTED_BY, "coupling")
    name = PREDICTED_BY[coupling]
    totals = []
    for part in read(trace, ("draft_token", "next_token", "committed", name)):
        redrafted = part["committed"] == 0
        probability = 1 - part[name] if coupling == "maximal" else part[name]
        same = (part["draft_token"] == part["next_token"]) & redrafted
        expected = np.where(redrafted, probability, 0)
        totals.append(np.stack([each.sum((1, 2)) for each in (same, expected, redrafted)]))
    measured, predicted, count = np.concatenate(totals, axis=1)
    return Collisions(
        ratio_interval(measured, count, level),
        ratio_interval(predicted, count, level),
        coupling,
        ratio_interval(measured - predicted, count, level),
    )


def hamming_distance(trace: xr.Dataset, lag: int = 1) -> FloatArray:
    """Share of positions in the window at passes t - lag and t whose drafts differ, by sequence.

    Parameters
    ----------
    trace : xarray.Dataset
        Of any decoder.
    lag : int
        Passes apart, 1 or more.

    Returns
    -------
    ndarray
        Float[S], NaN for a sequence without such a pair.

    Raises
    ------
    InputError
        For a lag below 1.

    References
    ----------
    So et al.: arXiv:2510.24211, Hamming distance between iterations.
    """
    check_at_least(lag, 1, "lag")
    shares = []
    for part in read(trace, ("base", "draft_token")):
        drafts = by_position(part["base"], part["draft_token"], trace.sizes["position"])
        before, after = drafts[:, :-lag], drafts[:, lag:]
        both = ~np.isnan(before) & ~np.isnan(after)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares.append((both & (before != after)).sum((1, 2)) / both.sum((1, 2)))
    return np.concatenate(shares)


def instability(trace: xr.Dataset) -> FloatArray:
    """Draft changes a token between entering the window and commit, the commit's own change included, by sequence.

    Parameters
    ----------
    trace : xarray.Dataset
        Of any decoder.

    Returns
    -------
    ndarray
        Float[S], changes a token.
    """
    changes = []
    for part in read(trace, ("draft_token", "next_token")):
        used = ~np.isnan(part["draft_token"])
        changes.append((used & (part["draft_token"] != part["next_token"])).sum((1, 2)) / trace.sizes["position"])
    return np.concatenate(changes)


def commit_lengths(trace: xr.Dataset) -> npt.NDArray[np.int64]:
    """Histogram of tokens committed a pass: entry k counts the passes that committed k.

    Parameters
    ----------
    trace : xarray.Dataset
        Of any decoder.

    Returns
    -------
    ndarray
        Int[L + 2].
    """
    counts = np.zeros(trace.sizes["slot"] + 2, dtype=np.int64)
    for part in read(trace, ("num_committed",)):
        values = part["num_committed"]
        counts += np.bincount(values[~np.isnan(values)].astype(np.int64), minlength=len(counts))
    return counts
