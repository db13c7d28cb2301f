"""Two arithmetics: float64 and exact rationals. Nothing else in the engine knows which one it computes in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Literal

from scd_analysis.errors import LawError

Number = float | Fraction
"""A probability or a threshold: a float in float64 arithmetic, a Fraction in rational arithmetic."""

ArithmeticName = Literal["float64", "rational"]

INFINITE = math.inf


def exact(value: Any) -> Fraction:
    """Convert a finite number to a Fraction without rounding."""
    return value if isinstance(value, Fraction) else Fraction(value if isinstance(value, int) else float(value))


def as_number(value: Any, rational: bool) -> Number:
    """Convert ``value`` to the arithmetic in use."""
    return exact(value) if rational and math.isfinite(value) else float(value)


def total(values: Iterable[Number]) -> Number:
    """Sum exactly (Fractions) or with one rounding (floats)."""
    items = list(values)
    if all(isinstance(item, (Fraction, int)) for item in items):
        return sum(items, Fraction(0))
    return math.fsum(items)


def normalised(weights: Sequence[Any], rational: bool, name: str = "weights") -> list[Number]:
    """Normalise the exact float64 value of ``weights``, in float64 or in Fractions.

    Raises
    ------
    LawError
        If a weight is negative or not finite, or all are zero.
    """
    numbers = [as_number(weight, rational) for weight in weights]
    for index, number in enumerate(numbers):
        if not (0 <= number < INFINITE):
            raise LawError(f"{name}[{index}] = {number}: a weight is finite and not negative")
    mass = total(numbers)
    if mass == 0:
        raise LawError(f"{name} sums to 0: a law needs some mass")
    return [number / mass for number in numbers]


class Sum:
    """A running sum without rounding error: ``math.fsum`` over floats, exact over Fractions."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Iterable[Number] = ()) -> None:
        self._parts = list(parts)

    def add(self, value: Number) -> None:
        """Add one term."""
        self._parts.append(value)
        if len(self._parts) > 512:
            self._parts = self.parts()

    def parts(self) -> list[Number]:
        """Give few numbers whose exact sum is this sum."""
        if all(isinstance(part, (Fraction, int)) for part in self._parts):
            return [total(self._parts)]
        high = math.fsum(self._parts)
        return [high, math.fsum([*self._parts, -high])]

    @property
    def value(self) -> Number:
        """The sum so far."""
        return total(self._parts)
