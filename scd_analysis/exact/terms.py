"""Numbers that may be random: a constant, a monotone function of one variate, or something that cannot be followed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.context import refuse, site, standing_at, stop
from scd_analysis.exact.monotone import Chain
from scd_analysis.exact.operators import Operators
from scd_analysis.exact.world import World


class Variate(Operators):
    """A monotone function of one uniform variate, known only through the comparisons made with it.

    Behaves like a number in arithmetic; comparing it gives an ordinary bool, and splits the run into two branches.
    Converting it to a float, hashing it or returning it is refused.
    """

    __slots__ = ("chain", "source", "world")

    def __init__(self, world: World, source: int, chain: Chain) -> None:
        self.world = world
        self.source = source
        self.chain = chain

    def range(self) -> tuple[Number, Number]:
        """Bounds of the value, given what is known."""
        return self.world.range(self.source, self.chain)


class Unknown(Operators):
    """A random number that cannot be followed; deciding anything by it is refused."""

    __slots__ = ("reason",)

    def __init__(self, what: str, why: str) -> None:
        self.reason = f"{what} at {site()}: {why}"

    def refuse(self) -> NoReturn:
        """Refuse, naming where the value was lost sight of.

        Raises
        ------
        CannotEnumerate
            Always.
        """
        stop(f"{self.reason} (its result decides at {site()})")


class Undrawn:
    """A discrete draw or a comparison put off until its value is needed: what nobody looks at does not branch."""

    __slots__ = ("_draw", "_site", "_value")

    def __init__(self, draw: Callable[[], int]) -> None:
        self._draw = draw
        self._value: int | None = None
        self._site = site()

    def draw(self) -> int:
        """Draw, once."""
        if self._value is None:
            with standing_at(self._site):
                self._value = self._draw()
        return self._value


Term = Number | Variate | Unknown


def is_random(value: Any) -> bool:
    """Tell variates from constants."""
    return isinstance(value, (Variate, Unknown))


def as_term(value: Any, world: World) -> Term:
    """Take a Python or NumPy number as a term of ``world``'s arithmetic."""
    if isinstance(value, (Variate, Unknown)):
        return value
    if isinstance(value, (int, float)) or hasattr(value, "__float__"):
        return world.number(value)
    return refuse("arithmetic with a variate", f"a {type(value).__name__} is no number")


def is_nan(value: Term) -> bool:
    """Tell a constant NaN."""
    return isinstance(value, float) and math.isnan(value)
