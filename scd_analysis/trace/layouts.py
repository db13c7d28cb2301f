"""Layouts that loops have and a trace does not: understood where they are unambiguous, as passes come in.

A token behind the drafts, or of a pass without any, that is not given as ``bonus_token`` but stands in ``next_token``::

    draft_token a b -1 -1   next_token a b y 0   accepted 1 1 0 0    base 4, and of the next pass 7

A replacement that the next pass begins with, and accepts, is not taken for one that was final when it was drawn: where
it is verified once more, those that were accepted are no fair sample of replacements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NONE = -1


@dataclass
class LastPass:
    """What the last pass of every sequence of a batch left open.

    Attributes
    ----------
    iteration : Long[B]
        Its number; -1 where there was none.
    base, committed : Long[B]
        Where it began, and how many tokens it committed.
    behind : Long[B]
        The token that it may have committed behind its drafts; -1 for none.
    """

    iteration: Array
    base: Array
    committed: Array
    behind: Array

    @classmethod
    def none(cls, num_sequences: int) -> LastPass:
        """Nothing was recorded yet."""
        names = ("iteration", "base", "committed", "behind")
        return cls(**{name: np.full(num_sequences, NONE) for name in names})

    def note(self, index: Array, iteration: int, rows: dict[str, Array], said: Array) -> None:
        """Keep what a pass left open.

        Parameters
        ----------
        index : Long[b]
            Sequences.
        iteration : int
        rows : dict
            As they are written.
        said : Long[b, L]
            Tokens afterwards as they were given, -1 where there is none.
        """
        drafted = rows["draft_token"] >= 0
        count, place = drafted.sum(axis=1), np.arange(len(index))
        accepted = ((rows["accepted"] == 1) & drafted).cumprod(axis=1).sum(axis=1)
        full = np.minimum(count, drafted.shape[1] - 1)
        behind = np.where((accepted == count) & (count < drafted.shape[1]), said[place, full], NONE)
        whole = (rows["committed"] * drafted).sum(axis=1) == count
        open_ = (rows.get("bonus_token", np.full(len(index), NONE)) < 0) & whole
        self.iteration[index], self.base[index] = iteration, rows["base"]
        self.committed[index], self.behind[index] = rows["num_committed"], np.where(open_, behind, NONE)


def committed_behind(last: LastPass, index: Array, rows: dict[str, Array]) -> Array:
    """Return the sequences whose last pass committed the token behind its drafts: the new one begins behind it.

    Parameters
    ----------
    last : LastPass
    index : Long[b]
        Sequences.
    rows : dict
        Of the new pass.

    Returns
    -------
    Long[n]
        Some of ``index``.
    """
    gap = rows["base"] - last.base[index] - last.committed[index]
    return np.asarray(index[(last.iteration[index] >= 0) & (gap == 1) & (last.behind[index] >= 0)])
