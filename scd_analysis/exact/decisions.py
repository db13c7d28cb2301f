"""What a comparison, a rounding or an argmax of random numbers decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.context import refuse
from scd_analysis.exact.monotone import split_affine
from scd_analysis.exact.terms import Term, Unknown, Variate, as_term, is_nan

_MIRROR = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def compare(name: str, left: Any, right: Any) -> bool:
    """Decide a comparison; ``name`` is lt, le, gt, ge, eq or ne.

    Raises
    ------
    CannotEnumerate
        If it compares what has no common scale.
    """
    for side in (left, right):
        if isinstance(side, Unknown):
            side.refuse()
    if not isinstance(left, Variate):
        left, right, name = right, left, _MIRROR[name]
    return _compared(name, left, as_term(right, left.world))


def _compared(name: str, left: Variate, right: Term) -> bool:
    if isinstance(right, Variate):
        return _two(name, left, right)
    if isinstance(right, Unknown):
        right.refuse()
    if is_nan(right):
        return name == "ne"
    if name in ("eq", "ne"):
        return _equals(left, right) == (name == "eq")
    if name in ("lt", "le"):
        return left.world.below(left.source, left.chain, right, strict=name == "lt")
    return not left.world.below(left.source, left.chain, right, strict=name == "ge")


def _equals(x: Variate, constant: Number) -> bool:
    """A variate equals a constant with probability zero, unless a clamp has put mass there."""
    if not any(step[0] == "clamp" for step in x.chain):
        return False
    world = x.world
    return world.below(x.source, x.chain, constant, strict=False) and not world.below(
        x.source, x.chain, constant, strict=True
    )


def _two(name: str, left: Variate, right: Variate) -> bool:
    if left.source == right.source:
        return _same_variate(name, left, right)
    apart = _ranges_decide(left, right)
    if name in ("eq", "ne"):
        if apart is None and any(step[0] == "clamp" for x in (left, right) for step in x.chain):
            refuse("comparing two clamped variates for equality", "both may stand at the clamp")
        return name == "ne"
    if apart is not None:
        return apart == (name in ("lt", "le"))
    racers = [(left.source, left.chain), (right.source, right.chain)]
    smaller = left.world.first(racers, largest=False, what="comparing two variates") == 0
    return smaller == (name in ("lt", "le"))


def _same_variate(name: str, left: Variate, right: Variate) -> bool:
    if left.chain == right.chain:
        return name in ("le", "ge", "eq")
    rest, a, b = split_affine(left.chain)
    other, c, d = split_affine(right.chain)
    if rest != other:
        refuse("comparing two functions of one variate", "they are not affine in a common one")
    if a == c:
        return {"lt": b < d, "le": b <= d, "gt": b > d, "ge": b >= d, "eq": b == d, "ne": b != d}[name]
    difference = Variate(left.world, left.source, rest)
    crossing = (d - b) / (a - c)
    return compare(name if a > c else _MIRROR[name], difference, crossing)


def _ranges_decide(left: Variate, right: Variate) -> bool | None:
    """True when left surely lies below right, False when above, None when their ranges overlap."""
    (a, b), (c, d) = left.range(), right.range()
    return True if b <= c else False if d <= a else None


def rounded(x: Term, how: str) -> float:
    """Decide floor, ceil, trunc or round of a random number."""
    if isinstance(x, Unknown):
        x.refuse()
    if not isinstance(x, Variate):
        return {"floor": math.floor, "ceil": math.ceil, "trunc": math.trunc, "round": round}[how](x)  # type: ignore[no-any-return, operator]
    low, high = x.range()
    if not (math.isfinite(low) and math.isfinite(high)):
        refuse(f"{how} of a variate", "its range is not bounded")
    if how == "trunc":
        how = "floor" if low >= 0 else "ceil" if high <= 0 else "mixed"
    first, last = math.floor(low), math.ceil(high)
    if how == "round":
        halves = [x.world.number(k) + x.world.number(0.5) for k in range(first, last + 1)]
        return first + x.world.cut(x.source, x.chain, halves)
    edges = [edge for edge in range(first + 1, last) if how != "mixed" or edge != 0]
    place = x.world.cut(x.source, x.chain, [x.world.number(edge) for edge in edges])
    return first + place + (0 if how == "floor" else 1)


def extreme(values: Sequence[Term], *, largest: bool, what: str) -> int:
    """Decide which of ``values`` is the largest (or smallest): its index, the first one among equal constants.

    Raises
    ------
    CannotEnumerate
        If a constant competes with two variates, or the variates have no common scale.
    """
    for value in values:
        if isinstance(value, Unknown):
            value.refuse()
    constants = [(value, index) for index, value in enumerate(values) if not isinstance(value, Variate)]
    for value, index in constants:
        if is_nan(value):
            return index
    best = None
    if constants:
        pick = max if largest else min
        best = pick(value for value, _ in constants)
    variates = [(value, index) for index, value in enumerate(values) if isinstance(value, Variate)]
    variates = _still_possible(variates, best, largest=largest)
    if not variates:
        return next(index for value, index in constants if value == best)
    world = variates[0][0].world
    if best is not None and not _surely_beaten(best, [v for v, _ in variates], largest=largest):
        if len(variates) > 1:
            refuse(what, "a constant competes with several variates")
        variate, index = variates[0]
        wins = compare("gt" if largest else "lt", variate, best)
        return index if wins else next(i for value, i in constants if value == best)
    if len({(value.source, value.chain) for value, _ in variates}) == 1:
        return variates[0][1]
    racers = [(value.source, value.chain) for value, _ in variates]
    return variates[world.first(racers, largest=largest, what=what)][1]


def _still_possible(variates: list[tuple[Variate, int]], best: Any, *, largest: bool) -> list[tuple[Variate, int]]:
    """Leave out variates that cannot beat the best constant."""
    if best is None:
        return variates
    return [
        (value, index)
        for value, index in variates
        if not (value.range()[1] <= best if largest else value.range()[0] >= best)
    ]


def _surely_beaten(best: Any, variates: Sequence[Variate], *, largest: bool) -> bool:
    """Whether the best constant loses against every one of ``variates``."""
    return all(value.range()[0] >= best if largest else value.range()[1] <= best for value in variates)
