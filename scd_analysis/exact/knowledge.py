"""What is known about the variates of one run, and how comparing them decides.

Each uniform variate has the interval it is known to lie in, or, once it has raced others, a cell of the simplex. Every
decision goes through `Walk.choose` with the conditional probability given all earlier decisions.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise

from scd_analysis.exact.arithmetic import Number, as_number, exact, total
from scd_analysis.exact.geometry import cells
from scd_analysis.exact.geometry.cells import Cell
from scd_analysis.exact.geometry.contest import (
    Entrant,
    SumLaw,
    constant,
    followed,
    turned_round,
    without_common_end,
)
from scd_analysis.exact.geometry.contest import largest as largest_of
from scd_analysis.exact.geometry.monotone import Chain, NotInvertible, bounds, increasing, threshold
from scd_analysis.exact.geometry.race import RaceForm, race_form
from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.tree import ROUNDING, Walk

MOST_CELLS = 65_536
"""More alternatives at one fork than this are refused."""


MOST_ENTRANTS = 64
"""More variates without a common scale are refused: the work grows with the cube (64 took 15 s, 32 two)."""

_ORDER_ONLY = "the value is a softmax or the like, of which only the order is known, or a sum known too coarsely"


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known about some draws, with their variates renumbered; hashable."""

    keys: tuple[tuple[str, Hashable], ...]
    sources: tuple[tuple[int, ...], ...]
    intervals: tuple[tuple[Number, Number], ...]
    flipped: tuple[bool | None, ...]
    cells: frozenset[Cell]

    @property
    def geometry(self) -> Hashable:
        """All of it, as a key."""
        return self.keys, self.sources, self.intervals, self.flipped, self.cells


def _entrant(source: int, chain: Chain, intervals: Sequence[tuple[Number, Number]]) -> Entrant:
    low, high = intervals[source]
    return Entrant(chain, float(low), float(high))


def _chances(
    entries: Sequence[tuple[int, Chain] | Number], intervals: Sequence[tuple[Number, Number]], *, largest: bool
) -> tuple[float, ...] | None:
    """Probability that each wins; None where that is not followed."""
    chains = [entry[1] for entry in entries if isinstance(entry, tuple)]
    if len(chains) == len(entries):
        chains, turned = without_common_end(chains)
        largest ^= turned
    if not all(followed(chain) for chain in chains):
        return None
    left = iter(chains)
    entrants = [
        _entrant(entry[0], next(left), intervals) if isinstance(entry, tuple) else constant(entry) for entry in entries
    ]
    if not largest:
        entrants = [Entrant(turned_round(entrant.chain), entrant.low, entrant.high) for entrant in entrants]
    return largest_of(tuple(entrants))


class Knowledge:
    """The variates of one run.

    Parameters
    ----------
    walk
        Answers the questions.
    slack
        How much total variation may be passed over for guards such as ``u + 1e-20`` inside a race.
    """

    def __init__(self, walk: Walk, slack: float) -> None:
        self._walk = walk
        self._allowed = slack
        self._absorbed: set[tuple[int, Chain, Number]] = set()
        self._intervals: list[tuple[Number, Number]] = []
        self._cells: dict[int, Cell] = {}  # shared by the variates of one cell
        self._flipped: dict[int, bool] = {}
        self._used: dict[int, str] = {}  # variates of which no interval and no cell says what is known, and in what
        self._winners: dict[tuple[Hashable, bool], int] = {}  # of contests, by what competed
        self._parts: dict[int, tuple[tuple[int, tuple[Number, Number]], ...]] = {}  # of sums, with their intervals
        self._part_of: dict[int, str] = {}
        self.slack = 0.0

    @property
    def rational(self) -> bool:
        """Whether probabilities are Fractions."""
        return self._walk.rational

    def number(self, value: object) -> Number:
        """Convert a constant to the arithmetic in use."""
        return as_number(value, self.rational)

    def choose(self, question: Hashable, probabilities: Sequence[Number]) -> int:
        """Let the walk choose between alternatives."""
        return self._walk.choose(question, probabilities)

    def source(self) -> int:
        """Draw a new uniform variate on [0, 1); nothing is decided."""
        self._intervals.append((self.number(0), self.number(1)))
        return len(self._intervals) - 1

    def interval(self, source: int) -> tuple[Number, Number]:
        """Where a variate is known to lie."""
        return self._intervals[source]

    def range(self, source: int, chain: Chain) -> tuple[Number, Number]:
        """Where a function of a variate is known to lie, without looking at races."""
        return bounds(chain, *self._intervals[source])

    def chance_below(self, source: int, chain: Chain, constant: Number) -> Number:
        """Probability that a function of a variate lies below a constant, given the variate's interval."""
        try:
            is_below, at = threshold(chain, constant, strict=True)
        except NotInvertible:
            return self.number(1)
        low, high = self._intervals[source]
        share = (min(max(at, low), high) - low) / (high - low)
        return share if is_below else 1 - share

    # -- one variate against constants -------------------------------------------------------------------------

    def below(self, source: int, chain: Chain, constant: Number, *, strict: bool) -> bool:
        """Decide ``chain(u) < constant`` (or ``<=``)."""
        if math.isnan(constant):
            return False
        try:
            is_below, at = threshold(chain, constant, strict=strict)
        except NotInvertible:
            refuse("a comparison with a constant", _ORDER_ONLY)
        return (self._place(source, [at]) == 0) == is_below

    def cut(self, source: int, chain: Chain, constants: Sequence[Number]) -> int:
        """Count how many of the sorted ``constants`` lie below ``chain(u)``."""
        if len(constants) > MOST_CELLS:
            refuse("rounding a variate", f"{len(constants)} possible results are too many to enumerate")
        if any(step[0] == "clamp" for step in chain):
            return sum(not self.below(source, chain, constant, strict=True) for constant in constants)
        try:
            found = [threshold(chain, constant, strict=True) for constant in constants]
        except NotInvertible:
            refuse("a comparison with constants", _ORDER_ONLY)
        rising = increasing(chain)
        ats = [at if rising == is_below else (2 if at < 0 else -1) for is_below, at in found]
        place = self._place(source, ats if rising else ats[::-1])
        return place if rising else len(constants) - place

    def _place(self, source: int, ats: Sequence[Number]) -> int:
        """Decide how many of the rising thresholds ``ats`` the variate exceeds."""
        low, high = self._intervals[source]
        inside = [min(max(at, low), high) for at in ats]
        edges = [low, *inside, high]
        widths = [right - left for left, right in pairwise(edges)]
        if sum(width > 0 for width in widths) == 1:
            return next(index for index, width in enumerate(widths) if width > 0)
        self._check_unused(source)
        if source in self._cells:
            refuse(
                "comparing race noise with a constant",
                "which of its variates is the least is known, its size is not; of a minimum or a maximum, compare each "
                "variate with the constant",
            )
        if self.rational and not all(isinstance(at, (Fraction, int)) for at in inside):
            refuse("a transcendental threshold", "it is no rational number; use float64 arithmetic")
        width = high - low
        self._use_parts(source)
        place = self.choose(("interval", source, *inside), [part / width for part in widths])
        self._intervals[source] = (edges[place], edges[place + 1])
        return place

    # -- variates against each other ---------------------------------------------------------------------------

    def first(self, racers: Sequence[tuple[int, Chain]], *, largest: bool, what: str) -> int:
        """Decide which of several functions of different variates is the largest (or smallest).

        Returns
        -------
        int
            Index into ``racers``.
        """
        if len(racers) == 1:
            return 0
        forms = self._forms(racers)
        if forms is None:
            return self.first_of(racers, largest=largest, what=what)
        for (source, _), form in zip(racers, forms, strict=True):
            self._flipped[source] = form.flipped
            self._use_parts(source)
        slow = forms[0].rising == largest
        weights = self._weights(forms)
        sources = [source for source, _ in racers]
        return self._raced(dict(zip(sources, weights, strict=True)), slow=slow, what=what)

    def _forms(self, racers: Sequence[tuple[int, Chain]]) -> list[RaceForm] | None:
        """Give the values as times of one race, if that is what they are."""
        if len({source for source, _ in racers}) < len(racers):
            return None
        forms = []
        for source, chain in racers:
            if source in self._used or self._intervals[source] != (0, 1):
                return None
            form = race_form(chain, partial(self._absorbed_distance, source, chain))
            if form is None or self._flipped.get(source, form.flipped) != form.flipped:
                return None
            forms.append(form)
        return forms if len({form.outer for form in forms}) == 1 else None

    def _absorbed_distance(self, source: int, chain: Chain, distance: Number) -> bool:
        """Pass a change of law of this total variation over, once, if it is allowed."""
        return (source, chain, distance) in self._absorbed or self._passed_over((source, chain, distance), distance)

    def _passed_over(self, key: tuple[int, Chain, Number], distance: Number) -> bool:
        if self.rational or self.slack + float(distance) > self._allowed:
            return False
        self.slack += float(distance)
        self._absorbed.add(key)
        return True

    def passes_over(self, source: int, chain: Chain, probability: Number) -> bool:
        """Whether an event of this probability may be left out of account, and is counted as slack."""
        return probability <= ROUNDING or self._absorbed_distance(source, chain, probability)

    # -- contests: variates without a common scale, used once ------------------------------------------------------

    def first_of(self, entries: Sequence[tuple[int, Chain] | Number], *, largest: bool, what: str) -> int:
        """Decide which of several variates and constants is the largest (or smallest), the first of equal ones."""
        variates = [entry for entry in entries if isinstance(entry, tuple)]
        key = frozenset((source, chain) for source, chain in variates)
        known = self._known_winner(entries, largest)
        if known is not None:
            return known
        if self.rational:
            refuse(what, "two variates are compared that are no times of one race (no common scale)")
        if len({source for source, _ in variates}) < len(variates):
            refuse(what, "two functions of one variate compete with others (no common scale)")
        if len(entries) > MOST_ENTRANTS:
            refuse(
                what,
                f"{len(entries)} variates without a common scale are too many (at most {MOST_ENTRANTS}); slack= passes "
                "guards over",
            )
        for source, _ in variates:
            self._check_unused(source)
            if source in self._cells:
                refuse(what, "race noise is compared with what is no time of its race (no common scale)")
        chances = _chances(entries, self._intervals, largest=largest)
        if chances is None:
            refuse(
                what,
                "two variates are compared that are no times of one race (no common scale), and the integral over "
                "them is not accurate or not followed",
            )
        for source, _ in variates:
            self._use_parts(source)
            self._used[source] = what
        winner = self.choose(("contest", largest, *entries), chances)
        if len(variates) == len(entries):
            self._winners[key, largest] = variates[winner][0]
        return winner

    def _known_winner(self, entries: Sequence[tuple[int, Chain] | Number], largest: bool) -> int | None:
        """Whether an earlier contest of all these, or more, has decided."""
        key = frozenset(entry for entry in entries if isinstance(entry, tuple))
        if len(key) < len(entries):
            return None
        for (competed, was_largest), source in self._winners.items():
            sources = [entry[0] for entry in entries if isinstance(entry, tuple)]
            if key <= competed and source in sources:  # type: ignore[operator]
                if was_largest == largest:
                    return sources.index(source)
                if len(sources) == 2:
                    return 1 - sources.index(source)
        return None

    def _check_unused(self, source: int) -> None:
        """What is known of variates after a contest or a decided sum is kept in no shape that more can be asked of."""
        if source in self._used:
            refuse(
                "using a variate again",
                f"it was part of {self._used[source]} before, among functions without a common scale, after which "
                "nothing more can be asked of it; an epsilon inside of noise is passed over, and counted, with slack=",
            )

    def sum_of(self, left: tuple[int, Chain], right: tuple[int, Chain], what: str) -> tuple[int, Chain] | None:
        """Give the sum of functions of two variates as a function of a new one; None where that is not followed."""
        if self.rational or not (followed(left[1]) and followed(right[1])) or left[0] == right[0]:
            return None
        parts = tuple((source, self._intervals[source]) for source, _ in (left, right))
        entrants = [_entrant(source, chain, self._intervals) for source, chain in (left, right)]
        new = self.source()
        self._parts[new] = parts
        self._part_of[new] = what
        return new, (("law", SumLaw(*entrants)),)

    def _use_parts(self, source: int) -> None:
        """A sum decides: from now on its parts are used."""
        for part, interval in self._parts.get(source, ()):
            mine = f"{self._part_of[source]} (number {source})"
            if self._used.get(part) == mine:
                continue
            self._check_unused(part)
            if part in self._cells or self._intervals[part] != interval:
                refuse(self._part_of[source], "a part of it was compared with something else before")
            self._used[part] = mine

    def _weights(self, forms: Sequence[RaceForm]) -> list[Fraction]:
        """Speeds of the racers: e/weight is compared."""
        reference = min(form.log_scale for form in forms)
        weights = []
        for form in forms:
            if self.rational and form.log_scale != reference:
                refuse("a race in log space", "its weights are no rational numbers; use float64 arithmetic")
            weights.append(exact(math.exp(reference - form.log_scale)) / exact(form.scale))
        return weights

    def race(self, sources: Sequence[int], weights: Sequence[Number]) -> int:
        """Decide ``argmin e/weight``, e the exponential variates of ``sources``; zero weights never win."""
        for source in sources:
            self._check_unused(source)
        speeds = {source: exact(weight) for source, weight in zip(sources, weights, strict=True) if weight > 0}
        names = list(speeds)
        return sources.index(names[self._raced(speeds, slow=False, what="a race")])

    def _raced(self, weights: Mapping[int, Fraction], *, slow: bool, what: str) -> int:
        groups = {id(self._cells[name]): self._cells[name] for name in weights if name in self._cells}
        before = self._joined(list(groups.values()))
        mass = self.number(1)
        for cell in groups.values():
            mass *= cells.probability(cell, self.rational)
        after, masses = cells.outcomes(before, tuple(weights.items()), slow, self.rational)
        if not any(part > 0 for part in masses):
            refuse(what, "no racer can win")
        winner = self.choose(("race", slow, *weights.items()), [part / mass for part in masses])
        chosen = after[winner]
        if chosen is not None:
            for name in chosen.members:
                self._cells[name] = chosen
        return winner

    @staticmethod
    def _joined(groups: Sequence[Cell]) -> Cell:
        if not groups:
            return cells.ANYWHERE
        if len(groups) == 1:
            return groups[0]
        return Cell({edge: bound for cell in groups for edge, bound in cell.edges.items()})

    # -- what outlives a step of a loop ------------------------------------------------------------------------

    def remember(self, drawn: Mapping[tuple[str, Hashable], Sequence[int]]) -> Memory:
        """Keep what is known about the variates of some draws: equal memories have equal futures."""
        keys = sorted(drawn, key=repr)
        for key in keys:
            for source in drawn[key]:
                self._check_unused(source)
        names: dict[int, int] = {}
        for key in keys:
            for source in drawn[key]:
                names.setdefault(source, len(names))
        joint = {id(self._cells[source]): self._cells[source] for source in names if source in self._cells}
        for cell in joint.values():
            for name in sorted(cell.members - set(names)):
                names[name] = len(names)
        return Memory(
            keys=tuple(keys),
            sources=tuple(tuple(names[source] for source in drawn[key]) for key in keys),
            intervals=tuple(self._intervals[source] for source in names),
            flipped=tuple(self._flipped.get(source) for source in names),
            cells=frozenset(cell.renamed(names) for cell in joint.values()),
        )

    def recall(self, memory: Memory) -> dict[tuple[str, Hashable], list[int]]:
        """Begin a run with what an earlier step has left; gives the draws by key."""
        self._intervals = list(memory.intervals)
        self._flipped = {source: flip for source, flip in enumerate(memory.flipped) if flip is not None}
        for cell in memory.cells:
            for name in cell.members:
                self._cells[name] = cell
        return {key: list(sources) for key, sources in zip(memory.keys, memory.sources, strict=True)}

    def total(self, values: Sequence[Number]) -> Number:
        """Sum in the arithmetic in use."""
        return total(values)
