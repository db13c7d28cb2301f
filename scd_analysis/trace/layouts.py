"""Layouts that loops have and a trace does not: understood where they are unambiguous, as passes come in.

A token behind the drafts, or of a pass without any, that is not given as ``bonus_token`` but stands in ``next_token``::

    draft_token a b -1 -1   next_token a b y 0   accepted 1 1 0 0    base 4, and of the next pass 7

A replacement that is committed by the pass after, which begins with it and accepts it as it is::

    draft_token a b c d     next_token a y . .   accepted 1 0 0 0    base 4, and of the next pass 5
    draft_token y e f g     next_token y e z .   accepted 1 1 0 0    becomes base 6, e f g

That is the same decoder: the replacement is final when it is drawn. Where the pass after does not accept it, it was
held back, and is recorded so.
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
    replaced : Long[B]
        The replacement that it may have held back; -1 for none.
    slot : Long[B]
        Of the replacement.
    counted : Bool[B]
        Whether the replacement is among the committed tokens.
    """

    iteration: Array
    base: Array
    committed: Array
    behind: Array
    replaced: Array
    slot: Array
    counted: Array

    @classmethod
    def none(cls, num_sequences: int) -> LastPass:
        """Nothing was recorded yet."""
        names = ("iteration", "base", "committed", "behind", "replaced", "slot")
        empty = {name: np.full(num_sequences, NONE) for name in names}
        return cls(**empty, counted=np.zeros(num_sequences, dtype=bool))

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
        slot = np.minimum(accepted, drafted.shape[1] - 1)
        rejected, said = accepted < count, rows["committed"][place, slot] == 1
        leads = (rows["committed"] * drafted).sum(axis=1) == accepted + (said & rejected)
        self.iteration[index], self.base[index] = iteration, rows["base"]
        self.committed[index], self.behind[index] = rows["num_committed"], np.where(open_, behind, NONE)
        self.replaced[index] = np.where(rejected & leads, rows["next_token"][place, slot], NONE)
        self.slot[index], self.counted[index] = slot, said


@dataclass(frozen=True)
class Amendment:
    """What is to be changed in passes that were recorded.

    Attributes
    ----------
    index, iteration : Long[n]
        Sequences of the batch, and which pass of theirs.
    values : dict of str to Long[n]
        Of variables a pass.
    slot : Long[n] or None
        Where variables a slot change.
    flags : dict of str to int
        What they become there.
    """

    index: Array
    iteration: Array
    values: dict[str, Array]
    slot: Array | None = None
    flags: dict[str, int] | None = None

    def rows(self) -> Iterator[dict[str, tuple[tuple[int, ...], int]]]:
        """One by one: of each variable the place, [sequence, iteration] or with a slot, and the value."""
        for i, (sequence, iteration) in enumerate(zip(self.index.tolist(), self.iteration.tolist(), strict=True)):
            own: dict[str, tuple[tuple[int, ...], int]] = {}
            for name, values in self.values.items():
                own[name] = (sequence, iteration), int(values[i])
            if self.slot is not None:
                for name, flag in (self.flags or {}).items():
                    own[name] = (sequence, iteration, int(self.slot[i])), flag
            yield own


def reconciled(last: LastPass, index: Array, rows: dict[str, Array]) -> tuple[dict[str, Array], list[Amendment]]:
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
    tuple of (dict, list of Amendment)
        The rows as they are to be written, and what changes in earlier ones.
    """
    amendments = []
    gap = np.where(last.iteration[index] >= 0, rows["base"] - last.base[index] - last.committed[index], 0)
    behind = (gap == 1) & (last.behind[index] >= 0)
    if behind.any():
        amendments.append(committed_behind(last, index[behind]))
    held = (last.replaced[index] >= 0) & (gap == np.where(last.counted[index], -1, 0))
    again = held & (rows["draft_token"][:, 0] == last.replaced[index]) & (rows["accepted"][:, 0] == 1)
    again &= rows["next_token"][:, 0] == last.replaced[index]
    dropped = held & last.counted[index] & ~again  # it was verified once more, and may be another token now
    late = again & ~last.counted[index]
    for where, step in ((late, 1), (dropped, -1)):
        if where.any():
            own = index[where]
            flag = int(step > 0)
            amendments.append(
                Amendment(
                    own,
                    last.iteration[own],
                    {"num_committed": last.committed[own] + step},
                    last.slot[own],
                    {"committed": flag, "residual_drawn": flag},
                )
            )
    return (_without_first(rows, again) if again.any() else rows), amendments


def committed_behind(last: LastPass, index: Array) -> Amendment:
    """Count the token behind the drafts of the last pass as its bonus token."""
    values = {"num_committed": last.committed[index] + 1, "bonus_token": last.behind[index]}
    return Amendment(index, last.iteration[index], values)


def _without_first(rows: dict[str, Array], where: Array) -> dict[str, Array]:
    """Begin some rows one slot later: what stands in the first is final already."""
    out, size = {}, rows["draft_token"].shape[1]
    for name, value in rows.items():
        if value.ndim < 2 or value.shape[1] != size:
            out[name] = value
            continue
        moved = np.concatenate([value[:, 1:], value[:, -1:]], axis=1)
        if name == "draft_token":
            moved[:, -1] = NONE
        out[name] = np.where(where.reshape(-1, *[1] * (value.ndim - 1)), moved, value)
    step = where.astype(np.int64)
    out["base"] = rows["base"] + step
    out["num_committed"] = rows["num_committed"] - step * (rows["committed"][:, 0] == 1)
    return out
