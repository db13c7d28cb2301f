"""Every redraft of a trace, flat: what theory predicts of it and what happened.

A redraft replaces a position's draft, drawn from one law, by one drawn from the next pass's law. Initial drafts are
left out: they were made up, and their law, a point mass, says nothing about two successive laws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Run
from scd_analysis.trace.trajectories import PREDICTED_BY, Estimate, by_position, ratio_interval, read

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Redrafts:
    """One entry a redraft.

    Attributes
    ----------
    sequence : ndarray
        Which sequence.
    kept : ndarray
        1 if the new draft is the old token.
    total_variation : ndarray
        Between the two laws.
    predicted : dict of str to ndarray
        Collision probability by coupling.
    bound : ndarray
        Upper bound on the collision probability of independent drafts; NaN where the draft law is not known.
    """

    sequence: Array
    kept: Array
    total_variation: Array
    predicted: dict[str, Array]
    bound: Array


def redrafts(run: Run) -> Redrafts:
    """Collect them, a few sequences at a time.

    Raises
    ------
    InputError
        If there is none.
    """
    names = ("base", "age", "committed", "draft_token", "next_token", "renyi2", *PREDICTED_BY.values())
    columns: dict[str, list[Array]] = {name: [] for name in ("sequence", "kept", "bound", *PREDICTED_BY.values())}
    first = 0
    for part in read(run.trace, names, 16):
        surviving = (part["age"] > 0) & (part["committed"] == 0)
        which = np.broadcast_to(first + np.arange(len(surviving))[:, None, None], surviving.shape)
        first += len(surviving)
        columns["sequence"].append(which[surviving])
        columns["kept"].append((part["draft_token"] == part["next_token"])[surviving].astype(np.float64))
        columns["bound"].append(_bound(run, part["base"], part["renyi2"])[surviving])
        for name in PREDICTED_BY.values():
            columns[name].append(part[name][surviving].astype(np.float64))
    flat = {name: np.concatenate(parts) for name, parts in columns.items()}
    if len(flat["kept"]) == 0:
        raise InputError(f"the trace of {run.label!r} has no redraft of a redraft: none waited for two passes")
    variation = flat["total_variation"]
    predicted = {c: 1 - variation if c == "maximal" else flat[name] for c, name in PREDICTED_BY.items()}
    return Redrafts(flat["sequence"], flat["kept"], variation, predicted, flat["bound"])


def _bound(run: Run, base: Array, renyi2: Array) -> Array:
    """``exp(-(H2 + H2') / 2)`` of target law and draft law, the draft law being the previous pass's target law."""
    if run.coupling is None:
        return np.full(renyi2.shape, np.nan)
    laid = by_position(base, renyi2, run.trace.sizes["position"] + renyi2.shape[2])
    before = np.full_like(laid, np.nan)
    before[:, 1:] = laid[:, :-1]
    index = np.nan_to_num(base).astype(np.int64)[..., None] + np.arange(renyi2.shape[2])
    return np.asarray(np.exp(-(renyi2 + np.take_along_axis(before, index, axis=2)) / 2))


def rate(values: Array, sequence: Array) -> Estimate:
    """Mean over ``n`` redrafts with its 95% interval over sequences, which a single sequence does not give."""
    _, cluster = np.unique(sequence, return_inverse=True)
    found = ratio_interval(np.bincount(cluster, values), np.bincount(cluster))
    if found.n < 2:
        found = replace(found, low=float("nan"), high=float("nan"))
    return replace(found, n=len(values))
