"""The tree of choices, explored by running the sampler again and again with a prescribed beginning.

A walk follows a script, the choices that lead to one unexplored branch, and at every later fork takes the heaviest one
and leaves the others to be explored. Forks remember what was asked, so a sampler that asks something else on the same
path is caught.
"""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

from scd_analysis.exact.arithmetic import Number, Sum
from scd_analysis.exact.refusals import site, stop

ROUNDING = 1e-15
"""In float64, a branch of smaller conditional probability may be a rounding artefact: not run, its mass is reported."""


ENDLESS = 1e-18
"""In float64, a path of smaller probability is left out: one that rejects again and again has no other end."""

YIELDS = 16
"""With a budget, a path is left for a while when another one waits that is so many times heavier."""


class Abandoned(BaseException):
    """A path too light or too late to be followed; not an ``Exception``, so that audited code cannot swallow it."""


@dataclass(frozen=True, slots=True, eq=False)
class Fork:
    """One fork met on a path: what was asked, with what probabilities, and the branch that led here."""

    question: Hashable
    probabilities: tuple[Number, ...]
    parent: Fork | None
    branch: int  # of the parent


@dataclass(frozen=True, slots=True)
class Pending:
    """A branch still to be run, and the probability of the path to it."""

    mass: Number
    fork: Fork | None
    branch: int

    def script(self) -> list[tuple[Fork, int]]:
        """The choices from the root to this branch, in order."""
        steps: list[tuple[Fork, int]] = []
        fork, branch = self.fork, self.branch
        while fork is not None:
            steps.append((fork, branch))
            branch = fork.branch
            fork = fork.parent
        steps.reverse()
        return steps

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path as one list: as a chain, a long one would be too deep."""
        steps = [(fork.question, fork.probabilities, branch) for fork, branch in self.script()]
        return _along, (self.mass, steps)


def _along(mass: Number, steps: Sequence[tuple[Hashable, tuple[Number, ...], int]]) -> Pending:
    fork, branch = None, 0
    for question, probabilities, chosen in steps:
        fork, branch = Fork(question, probabilities, fork, branch), chosen
    return Pending(mass, fork, branch)


class Walk:
    """One run of the sampler: replays a script, then explores.

    Parameters
    ----------
    start
        The branch to run.
    rational
        Arithmetic of the probabilities.
    floor
        Branches whose path probability is below are not run; their mass goes to ``left_out``.
    explore
        False to replay one finished path again, to see whether the sampler repeats itself.
    deadline
        Of the monotonic clock: a path that goes on after it is left out at its next fork; it may have no end.
    waiting
        Mass of the heaviest branch that waits to be run, if the heaviest are to be run first.
    """

    def __init__(
        self,
        start: Pending,
        *,
        rational: bool,
        floor: float,
        explore: bool = True,
        deadline: float = math.inf,
        waiting: Number | None = None,
    ) -> None:
        self._script = start.script()
        self._position = 0
        self._fork: Fork | None = None
        self._branch = 0
        self._floor = floor
        self._explore = explore
        self._deadline = deadline
        self.rational = rational
        self.mass: Number = start.mass if explore else (Fraction(1) if rational else 1.0)
        self._waiting = waiting
        self.closed = False
        self.abandoned = False
        self.endless = False
        self._opening = False
        self.found: list[Pending] = []
        self.left_out = Sum()

    @property
    def end(self) -> Pending:
        """The branch that this walk has run along, for replaying it."""
        return Pending(self.mass, self._fork, self._branch)

    def choose(self, question: Hashable, probabilities: Sequence[Number]) -> int:
        """Choose one of several alternatives.

        Parameters
        ----------
        question
            What is asked; the same at each replay of a path.
        probabilities
            Of the alternatives; they sum to one up to rounding. Alternatives of probability zero are never chosen.

        Raises
        ------
        CannotEnumerate
            If the sampler asked something else when it was on this path before.
        """
        if self.abandoned:
            raise Abandoned
        if self.closed:
            stop(f"a variate drawn in an earlier run is used at {site()}: the sampler keeps it between runs")
        possible = [index for index, p in enumerate(probabilities) if p > 0]
        if len(possible) == 1:
            return possible[0]
        chances = self._checked(probabilities)
        branch = self._replayed(question, chances)
        if branch is None:
            self._opening = True
            try:
                branch = self._opened(question, chances, possible)
            finally:
                self._opening = False
        return branch

    def expire(self) -> None:
        """Leave the path here, unless it stands at a fork that is being opened; what is known of it is left out.

        Raises
        ------
        Abandoned
            So that the sampler ends.
        """
        if self._opening:
            return
        if not self.abandoned and self._explore:
            self.left_out.add(self.mass)
        self._abandon()

    def _checked(self, probabilities: Sequence[Number]) -> tuple[Number, ...]:
        if self.rational:
            return tuple(probabilities)
        mass = math.fsum(probabilities)
        if abs(mass - 1) > 1e-9:
            raise AssertionError(f"the alternatives at {site()} sum to {mass!r}: an error of the exact engine")
        return tuple(float(p) / mass for p in probabilities)

    def _replayed(self, question: Hashable, chances: tuple[Number, ...]) -> int | None:
        if self._position == len(self._script):
            return None
        fork, branch = self._script[self._position]
        if fork.question != question or fork.probabilities != chances:
            stop(
                f"the sampler does not repeat itself: at choice {self._position + 1} of one path it first asked for "
                f"{_show(fork.question, fork.probabilities)}, now at {site()} for {_show(question, chances)}; "
                "something other than the intercepted draws decides (a clock, a cache, a global state, threads)"
            )
        self._position += 1
        self._fork, self._branch = fork, branch
        return branch

    def _opened(self, question: Hashable, chances: tuple[Number, ...], possible: list[int]) -> int:
        if not self._explore:
            stop(f"the sampler does not repeat itself: replayed, a path went on to ask at {site()}")
        if time.monotonic() > self._deadline:
            self.left_out.add(self.mass)
            self._abandon()
        fork = Fork(question, chances, self._fork, self._branch)
        heavy: list[Pending] = []
        for branch in possible:
            pending = Pending(self.mass * chances[branch], fork, branch)
            light = pending.mass < self._floor or (not self.rational and chances[branch] < ROUNDING)
            if light:
                self.left_out.add(pending.mass)
            else:
                heavy.append(pending)
        if not heavy:
            self.endless = True
            self._abandon()
        taken = max(heavy, key=lambda pending: pending.mass)  # so that a budget is spent on the heaviest paths
        if self._waiting is not None:
            if taken.mass * YIELDS < self._waiting:
                self.found += reversed(heavy)
                self._abandon()
            self._waiting = max(self._waiting, *(pending.mass for pending in heavy if pending is not taken), 0)
        self.found += (pending for pending in reversed(heavy) if pending is not taken)
        self.mass = taken.mass
        self._fork, self._branch = fork, taken.branch
        return taken.branch

    def _abandon(self) -> NoReturn:
        self.abandoned = True
        raise Abandoned

    def check_finished(self) -> None:
        """Check that the whole script was replayed.

        Raises
        ------
        CannotEnumerate
            If the sampler returned before asking for all of it.
        """
        if self._position < len(self._script):
            fork = self._script[self._position][0]
            stop(
                "the sampler does not repeat itself: replayed, a path ended before asking for "
                f"{_show(fork.question, fork.probabilities)} at choice {self._position + 1}"
            )


def _show(question: Hashable, chances: tuple[Number, ...]) -> str:
    listed = ", ".join(f"{float(p):.6g}" for p in chances[:6]) + (", ..." if len(chances) > 6 else "")
    return f"{question} with probabilities ({listed})"
