"""Noise of the rows of a batch that a table of half its size would serve twice."""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Floats, Longs


class FirstHalves:
    """Intervals of the variates that the first half of a batch used, for the second half to be compared with.

    A batch may be looked at in several parts, in order.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Longs, Floats, Floats]] = {}
        self._last = -1

    def narrow(self, row: Longs, half: int, key: Longs, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Return what the row half a batch before leaves of each variate, Float[A] twice; [0, 1] where nothing does.

        Parameters
        ----------
        row : Long[A]
            Rows in the batch, from 0 in every batch, in order.
        half : int
            Rows of half a batch.
        key : Long[A]
            Which variate of its row each is.
        low, high : Float[A]
            The interval that each use tells.
        """
        starts, stops = np.zeros_like(low), np.ones_like(high)
        if len(row) and row[0] < self._last:
            self._known.clear()
        for number in np.unique(row).tolist():
            self._last = number
            own = np.flatnonzero(row == number)
            own = own[np.argsort(key[own], kind="stable")]
            if number < half:
                self._known[number] = key[own], low[own], high[own]
            elif number - half in self._known:
                names, first, last = self._known[number - half]
                place = np.minimum(np.searchsorted(names, key[own]), len(names) - 1)
                same = names[place] == key[own]
                starts[own[same]], stops[own[same]] = first[place[same]], last[place[same]]
        return starts, stops
