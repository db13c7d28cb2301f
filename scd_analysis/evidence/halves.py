"""In which half of every batch what a bettor looks at departs: told of a winning bet, and not bet on."""

from __future__ import annotations

import math

import numpy as np

from scd_analysis.evidence.batch import Floats, Rows

WORDS = ("in the first half of every batch", "in the second half of every batch")

FAR_APART, NEAR_ZERO = 5.0, 2.5
"""Standard deviations between the means of the two halves, from which one is named, where the other is within so many
of zero."""

FEWEST = 16
"""Observations of each half."""


class Halves:
    """Sums of centred numbers over both halves of all batches.

    Parameters
    ----------
    count : int
        How many kinds of numbers.
    """

    def __init__(self, count: int) -> None:
        self._sums = np.zeros((count, 2, 3))

    def add(self, kind: int, values: Floats, rows: Rows | None) -> None:
        """Add numbers Float[S, ...] of some rows; nothing, where rows are not known."""
        if rows is None:
            return
        flat = values.reshape(len(values), -1)
        powers = np.stack([np.full(len(flat), float(flat.shape[1])), flat.sum(axis=1), (flat * flat).sum(axis=1)])
        first = 2 * rows.number < rows.size
        self._sums[kind, 0] += powers[:, first].sum(axis=1)
        self._sums[kind, 1] += powers[:, ~first].sum(axis=1)

    def where(self, kind: int, *, above: bool = False) -> str:
        """Name the half that departs where the other does not; empty where none does.

        Parameters
        ----------
        kind : int
        above : bool
            Whether only numbers above zero are a departure.
        """
        count, total, square = self._sums[kind].T
        if count.min() < FEWEST or square.max() <= 0:
            return ""
        mean, spread = total / count, square / count
        apart = abs(mean[0] - mean[1]) / math.sqrt(max(spread[0] / count[0] + spread[1] / count[1], 1e-300))
        from_zero = total / np.sqrt(np.maximum(square, 1e-300))
        own = int((from_zero if above else np.abs(from_zero)).argmax())
        other = float(from_zero[1 - own])
        near = other < NEAR_ZERO if above else abs(other) < NEAR_ZERO
        return WORDS[own] if apart >= FAR_APART and near else ""
