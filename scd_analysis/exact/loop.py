"""A decode loop as a dynamic programme: equal states are merged, each is stepped once.

The tree of a decoder of N tokens has as many leaves as the product of its steps' branches; its states are far fewer.
A state that comes again, as in a loop that rejects until it accepts, is no new state: what returns to it is solved for
by linear equations (`recurrence`), so such a loop ends, and its law is exact.
"""

from __future__ import annotations

import copy
import inspect
import math
import time
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any

from scd_analysis.exact.arithmetic import Number, Sum
from scd_analysis.exact.draws import EnumeratedDraws
from scd_analysis.exact.explore import Explorer, Limits, Tally, frozen
from scd_analysis.exact.knowledge import Memory
from scd_analysis.exact.law import ExactLaw
from scd_analysis.exact.numbers import is_random
from scd_analysis.exact.progress import Report
from scd_analysis.exact.recurrence import visits
from scd_analysis.exact.refusals import refuse, stop
from scd_analysis.exact.run import DrawKey, Run
from scd_analysis.exact.torch.shadow import random_ids
from scd_analysis.exact.tree import ENDLESS

SAME = 1e-9
"""How far apart the probabilities of two transitions may be that are said to be the same."""

_PLAIN = (int, float, str, bytes, bool, complex, Fraction, type(None))


@dataclass(frozen=True)
class Loop:
    """A sampler that goes from state to state.

    Attributes
    ----------
    initial_state
        ``initial_state()`` or ``initial_state(draws)`` -> state.
    step
        ``step(state)`` or ``step(state, draws)`` -> next state. It may change the state it is given.
    outcome
        ``outcome(state)`` -> what the sampler returns in this state, or None while it is not finished.
    state_key
        ``state_key(state)`` -> what of the state decides the future; hashable. Default: the state itself, tensors and
        lists as tuples.
    live
        ``live(state)`` -> keys of `Draws` that later steps may ask for again. Default: every race so far. What is
        known about them is part of the key under which states are merged; all other keys are forgotten, and asking for
        one of them again is refused.
    """

    initial_state: Callable[..., Any]
    step: Callable[..., Any]
    outcome: Callable[[Any], Hashable | None]
    state_key: Callable[[Any], Hashable] | None = None
    live: Callable[[Any], Collection[Hashable]] | None = None


def as_loop(decoder: Any) -> Loop:
    """Take an object with the methods ``initial_state``, ``step``, ``outcome``, perhaps ``state_key`` and ``live``."""
    return Loop(
        decoder.initial_state,
        decoder.step,
        decoder.outcome,
        getattr(decoder, "state_key", None),
        getattr(decoder, "live", None),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Reached:
    """A state with what is remembered of the draws; equal ones have equal futures."""

    key: Hashable
    state: Any = None
    memory: Memory | None = None
    outcome: Hashable | None = None
    forgotten: frozenset[DrawKey] = frozenset()

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reached) and self.key == other.key

    def __repr__(self) -> str:
        return f"state {self.key!r}"


@dataclass(slots=True)
class _Transition:
    """Where a state leads, and which keys its step asked for."""

    reached: list[tuple[_Reached, Number]]
    left_out: Number
    asked: frozenset[DrawKey]


@dataclass(slots=True)
class _Programme:
    """The states seen so far and where they lead."""

    loop: Loop
    key: Callable[[Any], Hashable] | None
    limits: Limits
    check: Callable[[], None]
    deadline: float  # of the monotonic clock
    tally: Tally = field(default_factory=Tally)
    transitions: dict[_Reached, _Transition] = field(default_factory=dict)
    checked: set[_Reached] = field(default_factory=set)

    def transition(self, start: _Reached) -> _Transition:
        """Step a state, the first time along every branch."""
        found = self.transitions.get(start)
        if found is None:
            found = self.transitions[start] = self._stepped(start)
        elif self.key is None:  # merged states ask for the same keys, so those must be forgotten by none of them
            _check_forgotten(found.asked & start.forgotten)
        return found

    def check_again(self, start: _Reached) -> None:
        """See that a state which has come again asks for nothing forgotten, and leads where it led before.

        Raises
        ------
        CannotEnumerate
            If it does not: then ``state_key`` merges states that are not alike.
        """
        if self.key is None:
            self.transition(start)
        if self.key is None or start in self.checked or time.monotonic() >= self.deadline:
            return
        self.checked.add(start)
        before, branches = self.transitions[start], self.tally.branches
        again = self._stepped(start)
        self.tally.branches = branches
        if before.left_out or again.left_out:
            return
        masses = [{end: float(p) for end, p in transition.reached} for transition in (before, again)]
        if masses[0].keys() != masses[1].keys() or any(abs(p - masses[1][end]) > SAME for end, p in masses[0].items()):
            stop(
                f"state_key: two states with the key {start.key!r:.100} lead to different ones; it leaves something out"
            )

    def _stepped(self, start: _Reached | None) -> _Transition:
        asked: set[DrawKey] = set()
        owned = start is not None and not _is_plain(start.state)
        function = self.loop.initial_state if start is None else self.loop.step
        draws = _takes_draws(function, 0 if start is None else 1)

        def run_once(run: Run) -> Hashable:
            if start is not None and start.memory is not None:
                run.drawn.update(run.known.recall(start.memory))
            given = () if start is None else (copy.deepcopy(start.state) if owned else start.state,)
            state = function(*given, EnumeratedDraws(run)) if draws else function(*given)
            new = frozenset(run.drawn) - (frozenset() if start is None else _remembered(start))
            if start is not None:
                _check_forgotten(new & start.forgotten)
            asked.update(new)
            return self._reached(state, run, frozenset() if start is None else start.forgotten)

        seconds = None if self.limits.max_seconds is None else max(0.0, self.deadline - time.monotonic())
        limits = replace(self.limits, max_branches=None, mass_floor=0.0, max_seconds=seconds)
        explorer = Explorer(run_once, limits, self.check, repeats=4)  # in every state
        explorer.run()
        explorer.leave_rest()
        self.tally.branches += explorer.tally.branches
        self.tally.notes |= explorer.tally.notes
        self.tally.slack = max(self.tally.slack, explorer.tally.slack)
        reached = [(end, mass.value) for end, mass in explorer.tally.masses.items() if isinstance(end, _Reached)]
        return _Transition(reached, explorer.tally.left_out.value, frozenset(asked))

    def _reached(self, state: Any, run: Run, forgotten: frozenset[DrawKey]) -> _Reached:
        outcome = self.loop.outcome(state)
        if outcome is not None:
            outcome = frozen(outcome)
            return _Reached(("done", outcome), outcome=outcome)
        _refuse_variates(state)
        alive = _alive(self.loop, state, run)
        memory = run.known.remember({key: run.drawn[key] for key in alive})
        key = frozen(state) if self.key is None else self.key(state)
        return _Reached(
            ("at", key, memory.geometry), state, memory, None, forgotten | (frozenset(run.drawn) - frozenset(alive))
        )


def _takes_draws(function: Callable[..., Any], given: int) -> bool:
    """Whether a function needs an argument beyond those that it is given."""
    needed = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(needed) > given


def _remembered(start: _Reached) -> frozenset[DrawKey]:
    return frozenset() if start.memory is None else frozenset(start.memory.keys)


def _alive(loop: Loop, state: Any, run: Run) -> list[DrawKey]:
    if loop.live is None:
        return [key for key in run.drawn if key[0] == "race"]
    wanted = set(loop.live(state))
    return [key for key in run.drawn if key[1] in wanted]


def _check_forgotten(keys: Iterable[DrawKey]) -> None:
    for _, key in keys:
        stop(
            f"draws: the key {key!r} is drawn again in a later step, where it was forgotten; "
            "name it in Loop.live, or give each draw its own key"
        )


def _is_frozen(state: Any) -> bool:
    return bool(state.__dataclass_params__.frozen)


def _is_plain(state: Any) -> bool:
    if isinstance(state, _PLAIN):
        return not is_random(state)
    if isinstance(state, (tuple, frozenset)):
        return all(_is_plain(item) for item in state)
    if is_dataclass(state) and _is_frozen(state):
        return all(_is_plain(getattr(state, item.name)) for item in fields(state))
    return False


def _refuse_variates(value: Any, depth: int = 6) -> None:
    """Only draws of our own interface outlive a step; a state that holds other variates is refused."""
    if depth == 0 or (isinstance(value, _PLAIN) and not is_random(value)):
        return
    if is_random(value) or (hasattr(value, "untyped_storage") and random_ids(value) is not None):
        refuse("keeping a variate in the state of a Loop", "only draws under keys named in Loop.live outlive a step")
    children: Iterable[Any] = ()
    if isinstance(value, dict):
        children = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        children = value
    elif hasattr(value, "__dict__") and not callable(value) and not hasattr(value, "untyped_storage"):
        children = vars(value).values()
    for child in children:
        _refuse_variates(child, depth - 1)


def law_of_loop(
    loop: Loop,
    state_key: Callable[[Any], Hashable] | None,
    limits: Limits,
    check: Callable[[], None],
    report: Report,
) -> ExactLaw:
    """Compute the exact law of a loop's outcome; use `exact_law`.

    Raises
    ------
    CannotEnumerate
        As `exact_law`, and when a step asks for a draw that was forgotten.
    """
    deadline = time.monotonic() + (math.inf if limits.max_seconds is None else limits.max_seconds)
    programme = _Programme(loop, state_key or loop.state_key, limits, check, deadline)
    tally = programme.tally
    one: Number = Fraction(1) if limits.rational else 1.0
    first = programme._stepped(None)
    tally.left_out.add(first.left_out * one)
    layer = {end: (end, Sum([mass * one])) for end, mass in first.reached}
    returned: dict[_Reached, Sum] = {}
    floor = max(limits.mass_floor, 0.0 if limits.rational else ENDLESS)
    while layer:
        following: dict[_Reached, tuple[_Reached, Sum]] = {}
        for start, mass in sorted(((s, m.value) for s, m in layer.values()), key=lambda item: -item[1]):
            report(tally.branches, len(layer))
            if start.outcome is not None:
                tally.add(start.outcome, [mass])
            elif start in programme.transitions:
                programme.check_again(start)
                returned.setdefault(start, Sum()).add(mass)
            elif mass < floor or _spent(limits, tally, deadline):
                tally.left_out.add(mass)
            else:
                _push(programme.transition(start), mass, following, tally)
        layer = following
    _settle({start: mass.value for start, mass in returned.items()}, programme)
    return tally.law(limits.rational)


def _settle(returned: dict[_Reached, Number], programme: _Programme) -> None:
    """Follow what has come back to states that were stepped before, however often it comes back."""
    transitions, tally = programme.transitions, programme.tally
    rows, leaving = {}, {}
    for state, transition in transitions.items():
        rows[state] = [(end, p) for end, p in transition.reached if end in transitions]
        leaving[state] = transition.left_out + sum(p for end, p in transition.reached if end not in transitions)
    numbers = visits(returned, rows, leaving)
    came, went = Sum(returned.values()), Sum()
    for state, number in numbers.items():
        for end, p in transitions[state].reached:
            if end.outcome is not None:
                tally.add(end.outcome, [number * p])
                went.add(number * p)
            elif end not in transitions:
                tally.left_out.add(number * p)
                went.add(number * p)
        tally.left_out.add(number * transitions[state].left_out)
        went.add(number * transitions[state].left_out)
    lost = came.value - went.value
    if lost > (0 if programme.limits.rational else LOST):
        tally.left_out.add(lost)
        tally.notes.add("some states lead to each other without an end; their mass was left out")


LOST = 1e-12
"""Mass that comes to no end beyond this is no rounding."""


def _push(transition: _Transition, mass: Number, following: dict[_Reached, tuple[_Reached, Sum]], tally: Tally) -> None:
    tally.left_out.add(mass * transition.left_out)
    for end, p in transition.reached:
        found = following.get(end)
        if found is None:
            following[end] = (end, Sum([mass * p]))
        else:
            known, total = found
            total.add(mass * p)
            if not end.forgotten <= known.forgotten:
                following[end] = (replace(known, forgotten=known.forgotten | end.forgotten), total)


def _spent(limits: Limits, tally: Tally, deadline: float) -> bool:
    if limits.max_branches is not None and tally.branches >= limits.max_branches:
        return True
    return time.monotonic() >= deadline
