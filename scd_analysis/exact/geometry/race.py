"""Functions of a uniform variate that are times in a race of exponentials.

With ``e = -ln u`` (or ``-ln(1 - u)``) the value is brought to the form ``outer(scale * e)``. Values whose ``outer``
parts agree can be compared through ``scale * e`` alone, and a comparison of those is a half-space of the simplex:
``argmax p/e``, ``argmax(log p + g)``, ``argmax log(u)/p``, ``argmax u^(1/p)``, ``argsort(u)`` are all of them races.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.geometry.monotone import Chain, Step

Absorb = Callable[[Number], bool]
"""Asked whether a change of law of this total variation may be passed over (and counted)."""


@dataclass(frozen=True, slots=True)
class RaceForm:
    """``outer(scale * exp(log_scale) * e)`` for an exponential variate e.

    Attributes
    ----------
    flipped
        Whether e = -ln(1 - u) rather than -ln u.
    scale, log_scale
        The positive factor, in two parts so that rational scales stay rational and small ones do not underflow.
    rising
        Whether the value grows with e.
    outer
        What is done to the scaled e; equal for values that can be compared.
    """

    flipped: bool
    scale: Number
    log_scale: float
    rising: bool
    outer: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Shape:
    """Value so far: kind "unit" is exp(sign k e), "power" is sign (k e)^degree, "log" is degree ln(k e)."""

    kind: str
    scale: Number
    log_scale: float = 0.0
    sign: int = 1
    degree: Number = 1
    flipped: bool = False
    fresh: bool = False  # nothing but a flip has been done to u
    rest: tuple[Any, ...] = ()

    def finished(self) -> RaceForm:
        rising = self.degree > 0 if self.kind == "log" else (self.sign > 0) == (self.degree > 0)
        for step in self.rest:
            if (step[0] == "affine" and step[1] < 0) or (step[0] == "power" and step[1] < 0):
                rising = not rising
        tag = (self.kind, self.sign, self.degree)
        return RaceForm(self.flipped, self.scale, self.log_scale, rising, (tag, *self.rest))


def race_form(chain: Chain, absorb: Absorb) -> RaceForm | None:
    """Bring a chain to race form.

    Parameters
    ----------
    chain
        What was done to the uniform variate.
    absorb
        Called when a guard such as ``u + 1e-20`` or ``clamp(u, 1e-20)`` stands in the way; if it agrees, the guard is
        passed over. The total variation handed to it bounds the error.

    Returns
    -------
    RaceForm or None
        None when the value is no monotone function of a scaled exponential that can be compared with others.
    """
    shape = _Shape("unit", 1, sign=-1, fresh=True)
    for step in chain:
        if shape.rest:
            shape = replace(shape, rest=(*shape.rest, step))
            continue
        following = _ADVANCE[shape.kind](shape, step, absorb)
        if following is None:
            return None
        shape = following
    return shape.finished()


def _outer(shape: _Shape, step: Step) -> _Shape | None:
    return None if step[0] == "clamp" else replace(shape, rest=(step,), fresh=False)


def _from_unit(shape: _Shape, step: Step, absorb: Absorb) -> _Shape | None:
    kind = step[0]
    if kind == "affine":
        return _uniform_affine(shape, step, absorb)
    if kind == "clamp" and shape.fresh:
        return shape if absorb(max(step[1], 0) + max(1 - step[2], 0)) else None
    if kind == "log":
        return replace(shape, kind="power", fresh=False)
    if kind == "power":
        sign = shape.sign if step[1] > 0 else -shape.sign
        return replace(shape, scale=shape.scale * abs(step[1]), sign=sign, fresh=False)
    return _outer(shape, step)


def _uniform_affine(shape: _Shape, step: Step, absorb: Absorb) -> _Shape | None:
    """Follow ``1 - u``, and pass over what makes u uniform on an interval hardly different from [0, 1)."""
    slope, low = step[1], step[2]
    flips = slope < 0
    if flips:
        slope, low = -slope, low + slope
    if shape.fresh and abs(slope - 1) < 0.01 and abs(low) < 0.01:
        overlap = min(1, low + slope) - max(0, low)
        distance = 1 - overlap * min(1, 1 / slope)
        if distance == 0 or absorb(distance):
            return replace(shape, flipped=shape.flipped ^ flips)
        return None
    return _outer(shape, step)


def _from_power(shape: _Shape, step: Step, absorb: Absorb) -> _Shape | None:
    kind = step[0]
    if kind == "affine":
        return _scaled(shape, step, absorb)
    if kind == "clamp" and shape.sign > 0 and shape.degree == 1:
        size = _size(shape)
        return shape if absorb(max(step[1], 0) / size + math.exp(-min(step[2] / size, 700))) else None
    if kind == "power" and shape.sign > 0:
        return replace(shape, degree=shape.degree * step[1])
    if kind == "log" and shape.sign > 0:
        return replace(shape, kind="log")
    if kind == "exp" and shape.degree == 1:
        return replace(shape, kind="unit")
    return _outer(shape, step)


def _size(shape: _Shape) -> float:
    return float(shape.scale) * math.exp(shape.log_scale)


def _scaled(shape: _Shape, step: Step, absorb: Absorb) -> _Shape | None:
    slope, shift = step[1], step[2]
    factor = abs(slope) if shape.degree == 1 else abs(slope) ** (1 / shape.degree)
    shape = replace(shape, scale=shape.scale * factor, sign=shape.sign if slope > 0 else -shape.sign)
    if shift == 0 or (shape.degree == 1 and absorb(abs(shift) / _size(shape))):
        return shape
    return replace(shape, rest=(("affine", 1, shift),))


def _from_log(shape: _Shape, step: Step, absorb: Absorb) -> _Shape | None:
    del absorb
    kind = step[0]
    if kind == "affine":
        degree = shape.degree * step[1]
        return replace(shape, degree=degree, log_scale=shape.log_scale + float(step[2]) / float(degree))
    if kind == "exp":
        return replace(shape, kind="power", sign=1)
    return _outer(shape, step)


_ADVANCE: dict[str, Callable[[_Shape, Step, Absorb], _Shape | None]] = {
    "unit": _from_unit,
    "power": _from_power,
    "log": _from_log,
}
