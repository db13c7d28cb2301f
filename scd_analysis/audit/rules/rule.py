"""A verification rule, as an audit sees one: what is looked for and bet on where a decoder follows it exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scd_analysis.audit.bets import Process
from scd_analysis.audit.checks import Check
from scd_analysis.audit.commits import Commits
from scd_analysis.audit.observations.view import View
from scd_analysis.audit.promises import Need
from scd_analysis.conditions import Condition


def as_it_is(view: View) -> View:
    """Return the view itself."""
    return view


def as_declared(commits: Commits, vocab_size: int) -> Commits:
    """Return the commits themselves."""
    return commits


@dataclass(frozen=True)
class Group:
    """Processes that look at a trace in one way.

    Attributes
    ----------
    processes : tuple of Process
    see : callable
        From a :class:`View` to the one that they see, or None where the trace does not hold what it takes.
    """

    processes: tuple[Process, ...]
    see: Callable[[View], View | None] = as_it_is


@dataclass(frozen=True)
class Rule:
    """An exact verification rule.

    Attributes
    ----------
    name : str
        As it is stated, and reported.
    words : str
        In a sentence: "the decoder follows ...".
    groups : tuple of Group
        What is bet on, each process once.
    checks : tuple of Check
        What never happens under the rule.
    needs : tuple of Need
        What must have been judged before the conditions speak for a decoder.
    redeclare : callable
        From :class:`Commits` and the size of the vocabulary to the commits that the checks look at.
    compares_variates : bool
        Whether a draft is accepted where ``u q < p``, so that accept flags and recorded variates say the same.
    decides_on_windows : bool
        Whether it decides on windows as a whole, so that its processes look at them.
    disowns : tuple of Check
        Those of which a single find says that another rule is followed, where others may be a slip.
    needs_laws : bool
        Whether only recorded laws tell it, so that it is not asked of a trace without them, unless it is stated.
    place : int, optional
        Where it stands among the rules: the first of those that stand as well is told. Those without one come last.
    """

    name: str
    words: str
    groups: tuple[Group, ...]
    checks: tuple[Check, ...]
    needs: tuple[Need, ...]
    redeclare: Callable[[Commits, int], Commits] = as_declared
    compares_variates: bool = False
    decides_on_windows: bool = False
    disowns: tuple[Check, ...] = ()
    needs_laws: bool = False
    place: int | None = None

    @property
    def asks_of(self) -> set[Condition]:
        """Conditions that it has a bet or a check on."""
        return {process.condition for process in self.processes} | {check.condition for check in self.checks}

    @property
    def processes(self) -> tuple[Process, ...]:
        """Of all groups."""
        return tuple(process for group in self.groups for process in group.processes)
