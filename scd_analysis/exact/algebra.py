"""Arithmetic on random numbers.

Constants are folded; a function of one variate stays a chain of monotone steps; two different variates in one sum or
product give `Unknown`. Values are those of real arithmetic on the constants as the audited code has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from scd_analysis.exact.arithmetic import INFINITE, Number
from scd_analysis.exact.monotone import Chain, split_affine, then_affine
from scd_analysis.exact.terms import Term, Unknown, Variate, as_term, is_nan, is_random


def binary(name: str, left: Any, right: Any) -> Term:
    """Combine two numbers, at least one of them random; ``name`` is add, sub, mul, div or pow."""
    world = next((side.world for side in (left, right) if isinstance(side, Variate)), None)
    if world is None:
        return left if isinstance(left, Unknown) else _as_unknown(right)
    left, right = as_term(left, world), as_term(right, world)
    for side in (left, right):
        if isinstance(side, Unknown) or is_nan(side):
            lost: Term = side
            return lost
    return _BINARY[name](left, right)


def _as_unknown(side: Any) -> Unknown:
    return side if isinstance(side, Unknown) else Unknown("arithmetic", "neither side is random")


def _then(x: Variate, chain: Chain) -> Variate:
    return Variate(x.world, x.source, chain)


def affine(x: Variate, slope: Number, shift: Number) -> Term:
    """``slope x + shift``."""
    if slope == 0:
        return shift
    if not (math.isfinite(slope) and math.isfinite(shift)):
        return _infinite(x, slope, shift)
    return _then(x, then_affine(x.chain, slope, shift))


def _infinite(x: Variate, slope: Number, shift: Number) -> Term:
    if math.isfinite(slope):
        return shift
    low, high = x.range()
    if low >= 0:
        return slope + shift
    return -slope + shift if high <= 0 else Unknown("a product with infinity", "its sign is not known")


def _add(left: Any, right: Any) -> Term:
    if isinstance(left, Variate) and isinstance(right, Variate):
        return _together(left, right, 1, "a sum of two variates")
    return affine(left, 1, right) if isinstance(left, Variate) else affine(right, 1, left)


def _subtract(left: Any, right: Any) -> Term:
    if isinstance(left, Variate) and isinstance(right, Variate):
        return _together(left, right, -1, "a difference of two variates")
    return affine(left, 1, -right) if isinstance(left, Variate) else affine(right, -1, left)


def _together(left: Variate, right: Variate, sign: int, what: str) -> Term:
    """Add two functions that are affine in one and the same function of one variate."""
    if left.source == right.source:
        rest, a, b = split_affine(left.chain)
        other, c, d = split_affine(right.chain)
        if rest == other:
            return affine(_then(left, rest), a + sign * c, b + sign * d)
    return Unknown(what, "they have no common scale")


def _multiply(left: Any, right: Any) -> Term:
    if isinstance(left, Variate) and isinstance(right, Variate):
        if left.source == right.source and left.chain == right.chain:
            return power(left, 2)
        return Unknown("a product of two variates", "it is no function of one variate")
    return affine(left, right, 0) if isinstance(left, Variate) else affine(right, left, 0)


def _divide(left: Any, right: Any) -> Term:
    if isinstance(right, Variate):
        if isinstance(left, Variate):
            if left.source == right.source and left.chain == right.chain:
                return left.world.number(1)
            return Unknown("a quotient of two variates", "it is no function of one variate")
        below = power(right, -1)
        return affine(below, left, 0) if isinstance(below, Variate) else below if left != 0 else left
    if right == 0:
        return _multiply(left, INFINITE)
    if not math.isfinite(right):
        return left.world.number(0)  # type: ignore[no-any-return]
    if left.chain and left.chain[-1][0] == "affine":  # one rounding less than multiplying by the reciprocal
        rest, slope, shift = split_affine(left.chain)
        return _then(left, then_affine(rest, slope / right, shift / right))
    return affine(left, left.world.number(1) / right, 0)


def _raise(left: Any, right: Any) -> Term:
    if not isinstance(right, Variate):
        return power(left, right)
    if isinstance(left, Variate) or left <= 0:
        return Unknown("a power with a random exponent", "its base is random or not positive")
    return unary("exp", affine(right, math.log(left), 0))


def power(x: Variate, exponent: Number) -> Term:
    """``x ** exponent``, as long as it is monotone on the range of x."""
    if exponent == 0:
        return x.world.number(1)
    if exponent == 1:
        return x
    low, high = x.range()
    if low >= 0:
        chain = x.chain
        if chain and chain[-1][0] == "power":
            return _then(x, _power_step(chain[:-1], chain[-1][1] * exponent))
        return _then(x, _power_step(chain, exponent))
    whole = float(exponent).is_integer()
    if high <= 0 and whole:
        mirrored = power(_then(x, then_affine(x.chain, -1, 0)), exponent)
        return affine(mirrored, -1, 0) if isinstance(mirrored, Variate) and int(exponent) % 2 else mirrored
    return Unknown("a power of a variate", "it is not monotone where the variate lies")


def _power_step(chain: Chain, exponent: Number) -> Chain:
    return chain if exponent == 1 else (*chain, ("power", exponent))


_BINARY: dict[str, Callable[[Any, Any], Term]] = {
    "add": _add,
    "sub": _subtract,
    "mul": _multiply,
    "div": _divide,
    "pow": _raise,
}


# -- functions of one argument ---------------------------------------------------------------------------------


def unary(name: str, x: Term) -> Term:
    """Apply a named function; one that is not followed gives `Unknown`."""
    if not is_random(x) or isinstance(x, Unknown):
        return x if isinstance(x, Unknown) else _constant(name, x)
    if not isinstance(x, Variate) or name not in _UNARY:
        return Unknown(name, "this function of a variate is not followed")
    return _UNARY[name](x)


def _constant(name: str, x: Any) -> Term:
    return {"abs": abs, "reciprocal": lambda v: 1 / v}.get(name, getattr(math, name, math.nan))(x)  # type: ignore[no-any-return, operator]


def _log(x: Variate) -> Term:
    rest, slope, shift = split_affine(x.chain)
    if rest and rest[-1][0] == "exp" and shift == 0 and slope > 0:
        return affine(_then(x, rest[:-1]), 1, math.log(slope))
    if x.range()[0] < 0:
        return Unknown("log", "its argument may be negative")
    return _then(x, (*x.chain, ("log",)))


def _exp(x: Variate) -> Term:
    if x.chain and x.chain[-1][0] == "log":
        return _then(x, x.chain[:-1])
    return _then(x, (*x.chain, ("exp",)))


def _absolute(x: Variate) -> Term:
    low, high = x.range()
    if low >= 0:
        return x
    return affine(x, -1, 0) if high <= 0 else Unknown("abs", "the sign of its argument is not known")


def _sigmoid(x: Term) -> Term:
    """``1 / (1 + exp(-x))``."""
    return binary("div", 1, binary("add", 1, unary("exp", binary("mul", x, -1))))


def _logit(x: Term) -> Term:
    """``-log(1/x - 1)``."""
    return binary("mul", unary("log", binary("sub", binary("div", 1, x), 1)), -1)


_UNARY: dict[str, Callable[[Variate], Term]] = {
    "log": _log,
    "log2": lambda x: binary("div", _log(x), math.log(2)),
    "log10": lambda x: binary("div", _log(x), math.log(10)),
    "log1p": lambda x: unary("log", affine(x, 1, 1)),
    "exp": _exp,
    "exp2": lambda x: unary("exp", affine(x, math.log(2), 0)),
    "expm1": lambda x: binary("sub", _exp(x), 1),
    "sqrt": lambda x: power(x, 0.5),
    "rsqrt": lambda x: power(x, -0.5),
    "square": lambda x: power(x, 2),
    "reciprocal": lambda x: power(x, -1),
    "neg": lambda x: affine(x, -1, 0),
    "abs": _absolute,
    "sigmoid": _sigmoid,
    "logit": _logit,
    "tanh": lambda x: binary("sub", binary("mul", _sigmoid(affine(x, 2, 0)), 2), 1),
}


def clamped(x: Term, low: Number, high: Number) -> Term:
    """``min(max(x, low), high)``."""
    if not isinstance(x, Variate):
        return x if isinstance(x, Unknown) else min(max(x, low), high)
    least, greatest = x.range()
    if low <= least and greatest <= high:
        return x
    if greatest <= low or high <= least or low >= high:
        return high if high <= least or low >= high else low
    return _then(x, (*x.chain, ("clamp", low, high)))


def increasing_unknown(x: Variate, name: object, low: Number, high: Number) -> Variate:
    """Give an increasing function of x with values in [low, high], one per ``name``, known by its order only."""
    return _then(x, (*x.chain, ("opaque", name, low, high)))
