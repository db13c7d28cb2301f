"""In which rows of their batches something happens that never should: counted, and said where it is nowhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scd_analysis.audit.commits import Bools, Commits
from scd_analysis.evidence.batch import Longs, Rows
from scd_analysis.evidence.halves import WORDS as HALVES

SINGLE_ROWS = 64

CHANCE = 1e-4
"""Probability, at most, with which events that may be anywhere all come where they are said to be."""

GROUPS = (
    *(f"in row {k} of every batch" for k in range(SINGLE_ROWS)),
    *HALVES,
    "where a row is ahead of another one of its batch",
    "where a row is behind another one of its batch",
)


@dataclass(frozen=True)
class Tally:
    """Events, and places that were checked, in groups of rows.

    Attributes
    ----------
    events, checked : Long[G]
        By :data:`GROUPS`.
    all_events, all_checked : int
    """

    events: Longs
    checked: Longs
    all_events: int
    all_checked: int

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.events + other.events,
            self.checked + other.checked,
            self.all_events + other.all_events,
            self.all_checked + other.all_checked,
        )

    @property
    def where(self) -> str:
        """The smallest group that holds every event where chance would not put them; empty where there is none."""
        holds = np.flatnonzero((self.events == self.all_events) & (self.checked < self.all_checked))
        for group in sorted(holds, key=lambda i: (self.checked[i], i)):
            by_chance = self.all_events * math.log(self.checked[group] / self.all_checked)
            if by_chance <= math.log(CHANCE / len(GROUPS)):
                return GROUPS[group]
        return ""


@dataclass(frozen=True)
class Places:
    """To which groups the positions of some sequences belong.

    Attributes
    ----------
    row : Long[S]
    first : Bool[S]
        Whether a row is in the first half of its batch.
    ahead, behind : Bool[S, N]
        Whether it was ahead of, or behind, another one of the sequences when it committed the position.
    """

    row: Longs
    first: Bools
    ahead: Bools
    behind: Bools

    def tally(self, where: Bools, checked: Bools) -> Tally:
        """Count events Bool[S, N], and where they were looked for."""
        events, places = (self._count(of) for of in (where, checked | where))
        return Tally(events, places, int(where.sum()), int((checked | where).sum()))

    def _count(self, of: Bools) -> Longs:
        by_row = of.sum(axis=1)
        single = np.bincount(self.row, by_row, SINGLE_ROWS)[:SINGLE_ROWS]
        rest = by_row[self.first].sum(), by_row[~self.first].sum(), (of & self.ahead).sum(), (of & self.behind).sum()
        return np.array([*single, *rest]).astype(np.int64)


def places(commits: Commits, rows: Rows) -> Places:
    """Say where sequences of one batch belong; a row is compared with those that are decoding in the same pass."""
    base, made = commits.passes.base, commits.passes.used.any(axis=2)
    last, least = np.where(made, base, -1).max(axis=0), np.where(made, base, base.max() + 1).min(axis=0)
    at = np.maximum(commits.iteration, 0)
    own = np.take_along_axis(base, at, axis=1)
    return Places(rows.number, 2 * rows.number < rows.size, own > least[at], own < last[at])
