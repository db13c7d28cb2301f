"""Run the sampler along every branch and add up what comes out."""

from __future__ import annotations

import cmath
import heapq
import math
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from scd_analysis.common.foreign import TimeIsUpError, said
from scd_analysis.errors import CannotEnumerate, InputError
from scd_analysis.exact.alarm import alarm
from scd_analysis.exact.arithmetic import Number, Sum, as_number
from scd_analysis.exact.knowledge import Knowledge
from scd_analysis.exact.law import ExactLaw
from scd_analysis.exact.numbers import StartOver, is_random
from scd_analysis.exact.refusals import refuse, stop
from scd_analysis.exact.run import Run, activate
from scd_analysis.exact.torch.entries import mark_kept
from scd_analysis.exact.torch.shadow import kept_from, random_ids
from scd_analysis.exact.tree import ENDLESS, Abandoned, Pending, Walk

RunOnce = Callable[[Run], Hashable]

REPEATS = 8
"""Paths that are run once more at least: a sampler with a fair coin of its own passes with probability 1/256."""


def is_nan(value: float | complex | Decimal) -> bool:
    """Tell NaN, a signalling one too, from all other numbers."""
    return value.is_nan() if isinstance(value, Decimal) else cmath.isnan(value)


MOST_ENDLESS = 50
"""More paths without an end, where there is no budget, are refused: each is as long as it takes to become unlikely."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an exploration goes.

    Attributes
    ----------
    rational
        Arithmetic of the probabilities.
    mass_floor
        Branches of smaller probability are not run.
    max_branches, max_seconds
        When to stop; None means never.
    slack
        Total variation that may be passed over for guards inside races.
    """

    rational: bool = False
    mass_floor: float = 0.0
    max_branches: int | None = None
    max_seconds: float | None = None
    slack: float = 1e-12


@dataclass(slots=True)
class Tally:
    """What has come out so far."""

    masses: dict[Hashable, Sum] = field(default_factory=dict)
    branches: int = 0
    left_out: Sum = field(default_factory=Sum)
    slack: float = 0.0
    notes: set[str] = field(default_factory=set)

    def add(self, outcome: Hashable, parts: Iterable[Number]) -> None:
        """Add probability to an outcome."""
        found = self.masses.get(outcome)
        if found is None:
            found = self.masses[outcome] = Sum()
        for part in parts:
            found.add(part)

    def law(self, rational: bool) -> ExactLaw:
        """Turn the sums into a law."""
        notes = set(self.notes)
        if self.branches == 1 and len(self.masses) == 1:
            notes.add(
                "no random choice was met; a generator of the code's own, such as a hash, is followed as arithmetic"
            )
        if self.slack:
            notes.add(f"guards inside races were passed over; total variation at most {self.slack:.3g}")
        return ExactLaw(
            {outcome: mass.value for outcome, mass in self.masses.items()},
            self.branches,
            as_number(self.left_out.value, rational),
            self.slack,
            tuple(sorted(notes)),
        )


def frozen(outcome: Any) -> Hashable:
    """Make an outcome hashable: tensors, arrays and lists become (nested) tuples of Python numbers.

    Raises
    ------
    CannotEnumerate
        If it holds a variate that was never decided, or NaN, which is no outcome since it does not equal itself.
    InputError
        If it cannot be hashed.
    """
    try:
        return _frozen(outcome)
    except RecursionError:
        raise InputError("sampler() returned lists in each other without an end that is near") from None


def _frozen(outcome: Any) -> Hashable:
    if is_random(outcome):
        refuse("returning a variate", "the outcome has infinitely many values")
    if isinstance(outcome, torch.Tensor):
        if random_ids(outcome) is not None:
            refuse("returning a tensor of variates", "the outcome has infinitely many values")
        if outcome.is_meta:
            raise InputError("sampler() returned a tensor on the device meta, which has no values")
        return _frozen((outcome if outcome.layout is torch.strided else outcome.to_dense()).tolist())
    if isinstance(outcome, (np.ndarray, np.generic)):
        return _frozen(outcome.tolist())
    if isinstance(outcome, (list, tuple)):
        return tuple(_frozen(item) for item in outcome)
    if isinstance(outcome, dict):  # in one order, since dictionaries are equal in any
        return tuple(sorted(((key, _frozen(value)) for key, value in outcome.items()), key=lambda pair: repr(pair[0])))
    if isinstance(outcome, (float, complex, Decimal)) and is_nan(outcome):
        stop(f"sampler() returned {outcome!r}: NaN does not equal itself, so it cannot be counted as an outcome")
    try:
        hash(outcome)
    except Exception:  # a stranger's __hash__ may raise anything
        raise InputError(f"sampler() returned a {type(outcome).__name__}: an outcome is hashable") from None
    return outcome  # type: ignore[no-any-return]


class Explorer:
    """The branches of one sampler still to be run, and what has come of the others.

    Parameters
    ----------
    run_once
        Runs the sampler and gives its outcome.
    limits
        How far to go.
    check
        Called now and then, and at the end, to see that no draw has escaped.
    heaviest_first
        Whether to run the heaviest branch first, as with a budget, so that many are known soon.
    repeats
        How many paths are run once more, where there are few.
    """

    def __init__(
        self,
        run_once: RunOnce,
        limits: Limits,
        check: Callable[[], None],
        *,
        heaviest_first: bool = False,
        repeats: int = REPEATS,
    ) -> None:
        self._run_once = run_once
        self._limits = limits
        self._check = check
        self._order = 0
        self._deadline = math.inf
        self._lightest_last = heaviest_first or limits.max_branches is not None or limits.max_seconds is not None
        self._heap: list[tuple[float, int, Pending]] = []
        self._kept: list[torch.Tensor] = []
        self._endless = 0
        self._repeats = repeats
        self._repeated = 0
        self._finished: list[tuple[Pending, Hashable]] = []
        self._walk: Walk | None = None  # of the sampler while it runs
        self.tally = Tally()
        self.put([Pending(Fraction(1) if limits.rational else 1.0, None, 0)])

    def put(self, branches: Iterable[Pending]) -> None:
        """Add branches to be run: depth first, or with a budget the heaviest first."""
        for branch in branches:
            self._order += 1
            weight = -float(branch.mass) if self._lightest_last else 0.0
            heapq.heappush(self._heap, (weight, -self._order, branch))

    def take_all(self) -> list[Pending]:
        """Take out all branches still to be run, heaviest first."""
        found = sorted((branch for _, _, branch in self._heap), key=lambda branch: -branch.mass)
        self._heap = []
        return found

    @property
    def waiting(self) -> int:
        """How many branches are known and not run yet."""
        return len(self._heap)

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Run branches until none is left, the budget is spent, or ``stop()``."""
        limits = self._limits
        if limits.max_seconds is not None:
            self._deadline = time.monotonic() + limits.max_seconds
        with alarm(limits.max_seconds, self._interrupt):
            while self._heap and not stop():
                if limits.max_branches is not None and self.tally.branches >= limits.max_branches:
                    break
                if time.monotonic() >= self._deadline:
                    break
                self._branch(heapq.heappop(self._heap)[2])
        if self._finished and not self._heap:  # is there a source that nobody sees?
            for turn in range(self._repeats - self._repeated):
                self._repeat(*self._finished[turn % len(self._finished)])
        self._check()

    def _interrupt(self) -> None:
        """Leave a path whose time is over, wherever the sampler stands."""
        if self._walk is not None:
            self._walk.expire()

    def leave_rest(self) -> None:
        """Count what was not run as left out."""
        for branch in self.take_all():
            self.tally.left_out.add(branch.mass)

    def _branch(self, start: Pending) -> None:
        walk, outcome = self._walked(start)
        self.put(walk.found)
        for part in walk.left_out.parts():
            self.tally.left_out.add(part)
        if outcome is Abandoned:
            self._check_endless(walk)
            return
        self.tally.branches += 1
        self.tally.add(outcome, [walk.mass])
        if self.tally.branches & (self.tally.branches - 1) == 0:  # at 1, 2, 4, 8, ... branches
            self._finished.append((walk.end, outcome))
            self._check()
            self._repeat(walk.end, outcome)

    def _check_endless(self, walk: Walk) -> None:
        """Without a budget, a loop that makes more and more paths would never end."""
        self._endless += walk.endless
        if self._endless >= MOST_ENDLESS and not self._lightest_last and not self._limits.mass_floor:
            stop(
                f"{self._endless} paths of the sampler go on and on (to a probability below {ENDLESS:g}), as in a loop "
                "that rejects until it accepts: pass max_branches, max_seconds or mass_floor, and get bounds; or write "
                "it as a Loop, whose equal states are merged"
            )

    def _walked(self, start: Pending) -> tuple[Walk, Hashable]:
        for _ in range(1000):
            limits = self._limits
            floor = max(limits.mass_floor, 0.0 if limits.rational else ENDLESS)
            waiting = (self._heap[0][2].mass if self._heap else 0) if self._lightest_last else None
            walk = Walk(start, rational=limits.rational, floor=floor, deadline=self._deadline, waiting=waiting)
            try:
                return walk, self._once(walk)
            except Abandoned:
                return walk, Abandoned
            except StartOver:
                continue
        raise AssertionError("the sampler was started over a thousand times: an error of the exact engine")

    def _once(self, walk: Walk) -> Hashable:
        run = Run(walk, Knowledge(walk, self._limits.slack), self.tally.notes)
        mark_kept(run, self._kept)
        try:
            self._walk = walk
            with activate(run):
                outcome = self._run_once(run)
                outcome = frozen(outcome)
        except (CannotEnumerate, Abandoned, StartOver):
            raise
        except (KeyboardInterrupt, TimeIsUpError):
            raise
        except BaseException as error:
            if run.refused is not None:
                raise run.refused from error
            where = f"on a branch of probability {float(walk.mass):.3g}"
            if not isinstance(error, Exception):  # an exit would be taken for that of whoever asks for the law
                raise InputError(f"sampler raised {said(error)} ({where})") from error
            error.add_note(f"raised by the sampler {where}")
            raise
        finally:
            self._walk = None
            walk.closed = True
            self._kept = kept_from(run)
        if run.refused is not None:  # the sampler caught the refusal
            raise run.refused
        if walk.abandoned:
            raise Abandoned
        walk.check_finished()
        self.tally.slack = max(self.tally.slack, run.known.slack)
        return outcome

    def _repeat(self, end: Pending, outcome: Hashable) -> None:
        """Replay a finished path: the same choices must give the same outcome."""
        self._repeated += 1
        walk = Walk(end, rational=self._limits.rational, floor=0.0, explore=False)
        try:
            again = self._once(walk)
        except Abandoned:  # its time was over
            return
        if again != outcome:
            raise CannotEnumerate(
                f"the sampler does not repeat itself: the same choices gave first {outcome!r}, then {again!r}; "
                "something other than the intercepted draws decides (a clock, a cache, a global state, threads)"
            )
