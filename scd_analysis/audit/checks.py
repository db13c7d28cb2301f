"""What a lossless decoder never does: checks of a trace that need no statistics.

Each looks for events that have probability zero under the condition that it is of, so one is enough. A check is one
object, in the file of its condition in :mod:`scd_analysis.audit.conditions`; nothing else names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from scd_analysis.audit.commits import Bools, Commits
from scd_analysis.audit.tally import Tally, places
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats, Longs, Rows

ROUNDING = 1e-3
"""Relative difference of two recorded probabilities that may be rounding: half precision stays below it."""

AFTER_BETS = 100
"""Rank from which a check is asked after the bets that stand."""


@dataclass(frozen=True)
class Recorded:
    """What a check looks at.

    Attributes
    ----------
    commits : Commits
    model_probs : Float[S, N, V] or None
        The model's law of every token given the finished sequence.
    tolerance : float
        Difference of two probabilities up to which two computations of one law are the same.
    rows : Rows or None
        Where the sequences stood in their batch.
    tallies : dict of Check to Tally
        In which rows it was looked and something found; filled in where rows are known.
    """

    commits: Commits
    model_probs: Floats | None
    tolerance: float
    rows: Rows | None = None
    tallies: dict[Check, Tally] = field(default_factory=dict)

    def by_position(self, where: Bools) -> Longs:
        """Count slots Bool[S, T, L] by their positions, Long[S, N]."""
        sequence, iteration, slot = np.nonzero(where)
        out = np.zeros(self.commits.final.shape, dtype=np.int64)
        np.add.at(out, (sequence, self.commits.passes.slot_position[sequence, iteration, slot]), 1)
        return out

    @property
    def committed_beyond(self) -> Bools:
        """Positions that were committed although an earlier draft of the same pass was rejected, Bool[S, N]."""
        passes = self.commits.passes
        return np.asarray(self.by_position(passes.committed & ~passes.reached) > 0)


@dataclass(frozen=True)
class Found:
    """Where something happened that never should.

    Attributes
    ----------
    where, checked : Bool[S, N]
        Where it did, and where it was looked for.
    message : str
        In words, where the check's own do not say it.
    size : float or None
        Mean total variation over the places checked, where laws can be compared.
    """

    where: Bools
    checked: Bools
    message: str = ""
    size: float | None = None


@dataclass(frozen=True)
class Check:
    """One thing that a lossless decoder never does.

    Attributes
    ----------
    name : str
    condition : Condition
    message : str
        In words.
    rank : int
        Place in the diagnosis; of several that found something, the lowest is told.
    find : callable, optional
        From :class:`Recorded` to :class:`Found`, or None where the trace does not hold what it takes. None where
        another file looks for it.
    is_of_numbers : bool
        Whether it compares numbers of laws, which a trace that holds laws records a second time.
    """

    name: str
    condition: Condition
    message: str
    rank: int
    find: Callable[[Recorded], Found | None] | None = None
    is_of_numbers: bool = True


@dataclass(frozen=True)
class Violation:
    """Something that happened and never should.

    Attributes
    ----------
    check : Check
    message : str
    sequence, position, iteration : int
        Of the first; the iteration is -1 where there is none.
    count, checked : int
        How often, out of how many.
    size : float or None
        See :class:`Found`.
    """

    check: Check
    message: str
    sequence: int
    position: int
    iteration: int
    count: int
    checked: int
    size: float | None = None

    @property
    def condition(self) -> Condition:
        """Whose breach it is."""
        return self.check.condition

    def merged(self, later: Violation) -> Violation:
        """Add up two parts of one trace."""
        total = self.checked + later.checked
        size = None
        if self.size is not None and later.size is not None:
            size = (self.size * self.checked + later.size * later.checked) / total
        return replace(self, count=self.count + later.count, checked=total, size=size)


def violation(check: Check, commits: Commits, found: Found | None, offset: int) -> Violation | None:
    """Say where a check found something first, or None where it found nothing.

    Parameters
    ----------
    check : Check
    commits : Commits
    found : Found or None
    offset : int
        Number of the first sequence.
    """
    if found is None or not found.where.any():
        return None
    sequence, position = (int(i) for i in np.argwhere(found.where)[0])
    return Violation(
        check,
        found.message or check.message,
        offset + sequence,
        position,
        int(commits.iteration[sequence, position]),
        int(found.where.sum()),
        int(found.checked.sum()),
        found.size,
    )


def look(checks: Iterable[Check], recorded: Recorded, offset: int) -> Iterator[Violation]:
    """Find what a lossless decoder never does.

    Parameters
    ----------
    checks : iterable of Check
    recorded : Recorded
    offset : int
        Number of the first sequence.
    """
    at = None if recorded.rows is None else places(recorded.commits, recorded.rows)
    for check in checks:
        looked = check.find(recorded) if check.find else None
        if looked is not None and at is not None:
            recorded.tallies[check] = at.tally(looked.where, looked.checked)
        found = violation(check, recorded.commits, looked, offset)
        if found is not None:
            yield found


def own(laws: Floats, tokens: Longs) -> Floats:
    """Probability of a token each, Float[S, N]."""
    return np.asarray(np.take_along_axis(laws, tokens[..., None], axis=-1)[..., 0])
