"""Layouts that loops have and a trace does not: understood where they are unambiguous, as passes come in.

A token behind the drafts, or of a pass without any, that is not given as ``bonus_token`` but stands in ``next_token``::

    draft_token a b -1 -1   next_token a b y 0   accepted 1 1 0 0    base 4, and of the next pass 7

A replacement that the next pass begins with, and accepts, is not taken for one that was final when it was drawn: where
it is verified once more, those that were accepted are no fair sample of replacements.
"""

from __future__ import annotations

from collections.abc import Iterator
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


@dataclass(frozen=True)
class Amendment:
    """What is to be changed in passes that were recorded.

    Attributes
    ----------
    index, iteration : Long[n]
        Sequences of the batch, and which pass of theirs.
    values : dict of str to Long[n]
        Of variables a pass.
    """

    index: Array
    iteration: Array
    values: dict[str, Array]

    def rows(self) -> Iterator[dict[str, tuple[tuple[int, ...], int]]]:
        """One by one: of each variable the place, [sequence, iteration], and the value."""
        for i, (sequence, iteration) in enumerate(zip(self.index.tolist(), self.iteration.tolist(), strict=True)):
            own: dict[str, tuple[tuple[int, ...], int]] = {}
            for name, values in self.values.items():
                own[name] = (sequence, iteration), int(values[i])
            yield own


def reconciled(last: LastPass, index: Array, rows: dict[str, Array]) -> list[Amendment]:
    """Compare the beginning of a pass with the end of the last one.

    Parameters
    ----------
    last : LastPass
    index : Long[b]
        Sequences.
    rows : dict
        Of the new pass.

    Returns
    -------
    list of Amendment
        What changes in earlier rows.
    """
    amendments = []
    gap = np.where(last.iteration[index] >= 0, rows["base"] - last.base[index] - last.committed[index], 0)
    behind = (gap == 1) & (last.behind[index] >= 0)
    if behind.any():
        amendments.append(committed_behind(last, index[behind]))
    return amendments


def committed_behind(last: LastPass, index: Array) -> Amendment:
    """Count the token behind the drafts of the last pass as its bonus token."""
    values = {"num_committed": last.committed[index] + 1, "bonus_token": last.behind[index]}
    return Amendment(index, last.iteration[index], values)
