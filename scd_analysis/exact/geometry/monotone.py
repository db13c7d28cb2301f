"""Monotone functions of one uniform variate, as chains of steps that can be inverted.

A chain is a tuple of steps, applied left to right to ``u`` in [0, 1):

======================  ===========================================================
``("affine", a, b)``    x -> a x + b, with a != 0
``("log",)``            x -> ln x, for x > 0
``("exp",)``            x -> e^x
``("power", r)``        x -> x^r, for x >= 0 and r != 0
``("clamp", l, h)``     x -> min(max(x, l), h)
``("law", L)``          x -> the quantile of L at x, L a law with ``cdf`` and ``quantile``
``("opaque", i, l, h)`` an increasing function with values in [l, h] that nobody can invert, one per i
======================  ===========================================================

Comparing a chain with a constant becomes comparing ``u`` with a threshold. Constants are floats or Fractions.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from scd_analysis.exact.arithmetic import INFINITE, Number

Step = tuple[Any, ...]
Chain = tuple[Step, ...]


class NotInvertible(Exception):  # noqa: N818 -- a state of affairs, always caught
    """A chain holds a step that only keeps an order."""


def then_affine(chain: Chain, slope: Number, shift: Number) -> Chain:
    """Append x -> slope x + shift, merging it with an affine step before it."""
    if chain and chain[-1][0] == "affine":
        _, a, b = chain[-1]
        slope, shift, chain = slope * a, slope * b + shift, chain[:-1]
    if slope == 1 and shift == 0:
        return chain
    return (*chain, ("affine", slope, shift))


def split_affine(chain: Chain) -> tuple[Chain, Number, Number]:
    """Take the last affine step off: (rest, slope, shift)."""
    if chain and chain[-1][0] == "affine":
        return chain[:-1], chain[-1][1], chain[-1][2]
    return chain, 1, 0


def _apply(step: Step, x: Number) -> Number:
    kind = step[0]
    if kind == "affine":
        return step[1] * x + step[2]  # type: ignore[no-any-return]
    if kind == "log":
        return math.log(x) if x > 0 else -INFINITE
    if kind == "exp":
        return INFINITE if x > 709 else math.exp(x)
    if kind == "power":
        return _power(x, step[1])
    if kind == "clamp":
        clamped: Number = min(max(x, step[1]), step[2])
        return clamped
    if kind == "law":
        return step[1].quantile(x)  # type: ignore[no-any-return]
    raise NotInvertible


def _power(x: Number, r: Number) -> Number:
    if x == 0:
        return INFINITE if r < 0 else 0
    if x == INFINITE:
        return 0 if r < 0 else INFINITE
    if r == -1:
        return 1 / x
    if isinstance(x, Fraction) and isinstance(r, (int, Fraction)) and Fraction(r).denominator == 1:
        return x ** int(r)
    try:
        return math.pow(float(x), float(r))
    except OverflowError:
        return INFINITE


def bounds(chain: Chain, low: Number, high: Number) -> tuple[Number, Number]:
    """Give the range of the chain for ``low < u < high``, smaller end first."""
    first, last = low, high
    for step in chain:
        if step[0] == "opaque":
            first, last = (step[2], step[3]) if first <= last else (step[3], step[2])
        else:
            first, last = _apply(step, first), _apply(step, last)
    return min(first, last), max(first, last)


def increasing(chain: Chain) -> bool:
    """Tell whether the chain increases (else it decreases); clamps count as increasing."""
    sign = True
    for step in chain:
        if (step[0] == "affine" and step[1] < 0) or (step[0] == "power" and step[1] < 0):
            sign = not sign
    return sign


def threshold(chain: Chain, constant: Number, *, strict: bool) -> tuple[bool, Number]:
    """Turn ``chain(u) < constant`` (``strict``) or ``<=`` into a condition on u.

    Returns
    -------
    below : bool
        True when the condition is "u lies below the threshold", False when it is "u lies above".
    at : float or Fraction
        The threshold; outside [0, 1] when the condition is always or never met.

    Raises
    ------
    NotInvertible
        If the chain only keeps an order.
    """
    below, include = True, not strict  # the condition on the value so far: x < c, x <= c, x > c or x >= c
    for step in reversed(chain):
        kind = step[0]
        if kind == "affine":
            constant = (constant - step[2]) / step[1]
            below ^= step[1] < 0
        elif kind == "log":
            constant = INFINITE if constant > 709 else math.exp(constant)
        elif kind == "exp":
            constant = math.log(constant) if constant > 0 else -INFINITE
        elif kind == "power":
            if constant < 0 or (constant == 0 and step[1] < 0):  # every value lies above
                return (True, -1) if below else (True, 2)
            constant = _power(constant, 1 / step[1])
            below ^= step[1] < 0
        elif kind == "law":
            constant = step[1].cdf(constant)
        elif kind == "clamp":
            always = _clamp_decides(step, constant, below=below, include=include)
            if always is not None:
                return (True, 2) if always else (True, -1)
        else:
            raise NotInvertible
    return below, constant


def _clamp_decides(step: Step, c: Number, *, below: bool, include: bool) -> bool | None:
    """Whether the clamp alone settles the comparison of its value with ``c``."""
    low, high = step[1], step[2]
    if below:
        if c > high or (include and c == high):
            return True
        return False if c < low or (not include and c == low) else None
    if c < low or (include and c == low):
        return True
    return False if c > high or (not include and c == high) else None
