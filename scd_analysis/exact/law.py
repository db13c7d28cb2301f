"""The exact law of a sampler's outcome, and how it compares with another."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from scd_analysis.errors import InputError, LawError
from scd_analysis.exact.arithmetic import Number, total

COMPLETE = 1e-12
"""A law with no more mass than this left out counts as complete."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One outcome under two laws."""

    outcome: Hashable
    probability: Number
    other: Number

    @property
    def difference(self) -> Number:
        """Probability under the first law minus that under the second."""
        return self.probability - self.other


@dataclass(frozen=True, eq=False)
class ExactLaw:
    """The law of a sampler's outcome, with no statistical error.

    Attributes
    ----------
    probabilities : mapping of outcome to float or Fraction
        They sum to one within 1e-12, less ``unexplored_mass``.
    branches : int
        How many different paths were run.
    unexplored_mass : float or Fraction
        Probability of the paths that were not run: a budget, a mass floor, or rounding artefacts (a branch of
        conditional probability below 1e-15 in float64). The outcomes of these paths are not known.
    slack : float
        Bound on the total variation that was passed over for guards inside races, such as ``log(u + 1e-20)``.
    notes : tuple of str
        What was ignored or passed over.
    """

    probabilities: Mapping[Hashable, Number]
    branches: int = 0
    unexplored_mass: Number = 0
    slack: float = 0.0
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", MappingProxyType(dict(self.probabilities)))

    @property
    def complete(self) -> bool:
        """Whether hardly anything (at most 1e-12) is left out or passed over."""
        return self.unexplored_mass + self.slack <= COMPLETE

    @property
    def rational(self) -> bool:
        """Whether the probabilities are Fractions."""
        return all(isinstance(p, (Fraction, int)) for p in self.probabilities.values())

    def __getitem__(self, outcome: Hashable) -> Number:
        """Probability of an outcome; zero for one that never comes."""
        return self.probabilities.get(outcome, 0)

    def __len__(self) -> int:
        return len(self.probabilities)

    def total_variation(self, other: ExactLaw | Mapping[Any, Number]) -> Number:
        """Total variation distance to another law: a Fraction when both are rational.

        Raises
        ------
        InputError
            If one of the laws is partial: then only `total_variation_bounds` are known.
        """
        other = as_law(other)
        for law in (self, other):
            if not law.complete:
                raise InputError(
                    f"law.unexplored_mass = {float(law.unexplored_mass):.3g} (slack {law.slack:.3g}): the distance is "
                    "not known, only total_variation_bounds are"
                )
        above = [part for part in self._excess(other) if part > 0]
        below = [-part for part in self._excess(other) if part < 0]
        return max(total(above), total(below))

    def total_variation_bounds(self, other: ExactLaw | Mapping[Any, Number]) -> tuple[Number, Number]:
        """Bounds on the total variation distance, whatever the unexplored outcomes are.

        With P = P0 + R, mass r unexplored, and Q = Q0 + S, mass s unexplored:
        ``max(sum (P0-Q0)+ - s, sum (Q0-P0)+ - r) <= TV <= (sum |P0-Q0| + r + s) / 2``.
        """
        other = as_law(other)
        parts = self._excess(other)
        above = total([part for part in parts if part > 0])
        below = total([-part for part in parts if part < 0])
        r, s = self.unexplored_mass, other.unexplored_mass
        slack: Number = self.slack + other.slack if self.slack + other.slack else 0
        high = (above + below + r + s) / 2 + slack
        low = min(max(above - s, below - r) - slack, high)
        if not (self.rational and other.rational):
            low, high = float(low), float(high)
        return max(low, 0 * low), min(high, 1 + 0 * high)

    def _excess(self, other: ExactLaw) -> list[Number]:
        outcomes = dict.fromkeys([*self.probabilities, *other.probabilities])
        return [self[outcome] - other[outcome] for outcome in outcomes]

    def kl(self, other: ExactLaw | Mapping[Any, Number]) -> float:
        """Kullback-Leibler divergence KL(self || other) in nats; infinite when ``other`` misses an outcome.

        Raises
        ------
        InputError
            If one of the laws is partial.
        """
        other = as_law(other)
        if not (self.complete and other.complete):
            raise InputError("law.unexplored_mass is not zero: the divergence from or to a partial law is not known")
        terms = []
        for outcome, p in self.probabilities.items():
            if p > 0 and other[outcome] == 0:
                return math.inf
            if p > 0:
                terms.append(float(p) * math.log(p / other[outcome]))
        return max(math.fsum(terms), 0.0)

    def marginal(self, of: int | slice | Sequence[int] | Callable[[Any], Hashable]) -> ExactLaw:
        """Law of a part of the outcome.

        Parameters
        ----------
        of
            An index, a slice or several indices into tuple outcomes, or a function of the outcome.
        """
        part = of if callable(of) else lambda outcome: _part(outcome, of)
        groups: dict[Hashable, list[Number]] = {}
        for outcome, p in self.probabilities.items():
            groups.setdefault(part(outcome), []).append(p)
        return self._with({key: total(values) for key, values in groups.items()})

    def conditional(self, given: Mapping[int, Any] | Callable[[Any], bool]) -> ExactLaw:
        """Law of the outcome given an event.

        Parameters
        ----------
        given
            A predicate of the outcome, or the values at some indices of tuple outcomes: ``{0: 2}``.

        Raises
        ------
        LawError
            If the event has probability zero.
        """
        holds = given if callable(given) else lambda outcome: all(outcome[k] == v for k, v in given.items())
        chosen = {outcome: p for outcome, p in self.probabilities.items() if holds(outcome)}
        mass = total(chosen.values())
        if mass == 0:
            raise LawError("given: the event has probability zero, so nothing is known given it")
        if not self.complete:
            raise InputError("law.unexplored_mass is not zero: a conditional law of a partial law is not known")
        return self._with({outcome: p / mass for outcome, p in chosen.items()})

    def _with(self, probabilities: Mapping[Hashable, Number]) -> ExactLaw:
        return ExactLaw(probabilities, self.branches, self.unexplored_mass, self.slack, self.notes)

    def comparison(self, other: ExactLaw | Mapping[Any, Number], worst: int | None = 10) -> list[Comparison]:
        """List the outcomes whose probabilities differ most, worst first."""
        other = as_law(other)
        outcomes = dict.fromkeys([*self.probabilities, *other.probabilities])
        rows = [Comparison(outcome, self[outcome], other[outcome]) for outcome in outcomes]
        rows.sort(key=_size, reverse=True)
        return rows[:worst]

    def table(self, other: ExactLaw | Mapping[Any, Number], worst: int = 10) -> str:
        """Show a comparison with another law as text."""
        other = as_law(other)
        low, high = self.total_variation_bounds(other)
        distance = f"{float(low):.6g}" if low == high else f"between {float(low):.6g} and {float(high):.6g}"
        exactly = f" = {low}" if low == high and isinstance(low, Fraction) else ""
        lines = [
            f"total variation {distance}{exactly}",
            f"{'outcome':<24} {'law':>14} {'other':>14} {'difference':>12}",
        ]
        lines += [
            f"{row.outcome!s:<24} {float(row.probability):14.10f} {float(row.other):14.10f}"
            f" {float(row.difference):+12.3e}"
            for row in self.comparison(other, worst)
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        heaviest = sorted(self.probabilities.items(), key=_mass, reverse=True)
        left = f", {float(self.unexplored_mass):.3g} of the mass unexplored" if self.unexplored_mass else ""
        lines = [f"exact law of {len(self)} outcomes from {self.branches} branches{left}"]
        lines += [f"  {outcome!s:<24} {_shown(p)}" for outcome, p in heaviest[:10]]
        if len(heaviest) > 10:
            lines.append(f"  ... and {len(heaviest) - 10} more")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def _size(row: Comparison) -> Number:
    return row.difference if row.difference >= 0 else -row.difference


def _mass(item: tuple[Hashable, Number]) -> Number:
    return item[1]


def _shown(p: Number) -> str:
    return f"{float(p):.12f}" + (f" = {p}" if isinstance(p, Fraction) and p.denominator < 10**12 else "")


def _part(outcome: Any, of: Any) -> Hashable:
    if isinstance(of, int):
        return outcome[of]  # type: ignore[no-any-return]
    return tuple(outcome[of]) if isinstance(of, slice) else tuple(outcome[k] for k in of)


def as_law(law: ExactLaw | Mapping[Any, Number]) -> ExactLaw:
    """Take a dict of probabilities as a law.

    Raises
    ------
    LawError
        If a probability is negative or not a number, or they do not sum to one within 1e-6.
    """
    if isinstance(law, ExactLaw):
        return law
    for outcome, p in law.items():
        if not 0 <= p <= 1 + 1e-9:
            raise LawError(f"other[{outcome!r}] = {p}: a probability lies in [0, 1]")
    mass = total(law.values())
    if not -1e-6 <= mass - 1 <= 1e-6:
        raise LawError(f"other sums to {float(mass):.9g}: a law sums to 1")
    return ExactLaw(law)
