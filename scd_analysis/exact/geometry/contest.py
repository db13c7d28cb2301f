"""Variates without a common scale: who is the largest, and the law of a sum of two, by integrals over one variate.

Functions of different uniform variates that are no times of one race, such as ``ln p - ln(-ln(u + eps) + eps)`` or a
uniform variate against an exponential one, are still independent and monotone. So

    Pr[i is the largest] = E[prod_{j < i} Pr[X_j < X_i | X_i] prod_{j > i} Pr[X_j <= X_i | X_i]],

which ties go to the first of, as argmax has it; and Pr[X + Y <= s] = E[Pr[X <= s - Y | Y]]. Each is one integral over
[0, 1) of a function that is analytic between known points; the double exponential rule (Takahasi and Mori, 1974) gives
it to rounding, also where its derivative is infinite at an end. What is left known of the variates afterwards is no
interval and no cell, so they are used once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.geometry.monotone import Chain, NotInvertible, bounds, then_affine, threshold

Floats = npt.NDArray[np.float64]

ACCURATE = 1e-12
"""How far from one the probabilities of all outcomes may sum, each found by an integral of its own."""

_REACH = 3.3  # the rule leaves out less than 1e-18 of the interval at either end


@dataclass(frozen=True, slots=True)
class Entrant:
    """A monotone function of a variate that is uniform on (low, high); a constant has an empty interval."""

    chain: Chain
    low: float
    high: float

    def values(self, at: Floats) -> Floats:
        """Values of the function."""
        with np.errstate(all="ignore"):
            for step in self.chain:
                at = _VALUES[step[0]](step, at)
        return at

    def ends(self) -> tuple[float, float]:
        """Give the range of the function; it has atoms nowhere else."""
        low, high = bounds(self.chain, self.low, self.high)
        return float(low), float(high)

    def below(self, constants: Floats, *, include: bool) -> Floats:
        """Probability that the value lies below each constant, or at it."""
        if self.low == self.high:
            own = self.ends()[0]
            return (own <= constants if include else own < constants).astype(np.float64)
        with np.errstate(all="ignore"):
            return _probability(self, constants, include)


_VALUES: dict[str, Callable[[Any, Floats], Floats]] = {
    "affine": lambda step, x: step[1] * x + step[2],
    "log": lambda step, x: np.where(x > 0, np.log(x), -np.inf),
    "exp": lambda step, x: np.exp(x),
    "power": lambda step, x: np.power(x, step[1]),
    "clamp": lambda step, x: np.clip(x, step[1], step[2]),
}


def followed(chain: Chain) -> bool:
    """Tell whether a function has values that can be computed."""
    return all(step[0] in _VALUES for step in chain)


def _probability(of: Entrant, constants: Floats, include: bool) -> Floats:
    """Carry ``chain(u) < constant`` back to u, step by step, as `monotone.threshold` does for one constant."""
    is_below, sure = True, np.full(constants.shape, np.nan)
    c = constants
    for step in reversed(of.chain):
        kind = step[0]
        if kind == "affine":
            c = (c - step[2]) / step[1]
            is_below ^= step[1] < 0
        elif kind == "log":
            c = np.exp(c)
        elif kind == "exp":
            c = np.where(c > 0, np.log(c), -np.inf)
        elif kind == "power":
            above = (c < 0) | ((c == 0) & (step[1] < 0))
            sure = np.where(np.isnan(sure) & above, 0.0 if is_below else 1.0, sure)
            c = np.power(np.where(above, 1.0, c), 1 / step[1])
            is_below ^= step[1] < 0
        else:
            low, high = step[1], step[2]
            over = (c > high) | ((c == high) & (include if is_below else not include))
            under = (c < low) | ((c == low) & (not include if is_below else include))
            told = np.where(over, float(is_below), np.where(under, float(not is_below), np.nan))
            sure = np.where(np.isnan(sure), told, sure)
    share = (np.clip(c, of.low, of.high) - of.low) / (of.high - of.low)
    return np.where(np.isnan(sure), share if is_below else 1 - share, sure)


def mean(of: Entrant, function: Callable[[Floats], Floats], kinks: Sequence[float]) -> float:
    """Mean of ``function(values)`` over a variate; ``kinks`` are values at which the function is not analytic."""
    if of.low == of.high:
        return float(function(np.array([of.ends()[0]]))[0])
    cuts = {of.low, of.high}
    for kink in (*kinks, *of.ends()):
        for strict in (True, False):
            at = float(threshold(of.chain, kink, strict=strict)[1])
            if of.low < at < of.high:
                cuts.add(at)
    width = of.high - of.low
    parts = [_integral(lambda u: function(of.values(u)), a, b, 2e-16 * width) for a, b in pairwise(sorted(cuts))]
    return math.fsum(parts) / width


@lru_cache(maxsize=8)
def _rule(level: int) -> tuple[Floats, Floats]:
    """Places on (0, 1), from the nearer end, and weights of the double exponential rule."""
    step = 2.0**-level
    t = np.arange(-math.floor(_REACH / step), math.floor(_REACH / step) + 1) * step
    return np.pi * np.sinh(t), step * np.pi * np.cosh(t) * expit(np.pi * np.sinh(t)) * expit(-np.pi * np.sinh(t))


def _integral(function: Callable[[Floats], Floats], a: float, b: float, tolerance: float) -> float:
    found = math.inf
    for level in range(3, 9):
        places, weights = _rule(level)
        at = np.where(places < 0, a + (b - a) * expit(places), b - (b - a) * expit(-places))
        before, found = found, float(weights @ function(at)) * (b - a)
        if abs(found - before) <= tolerance:
            break
    return found


@lru_cache(maxsize=20_000)
def largest(entrants: tuple[Entrant, ...]) -> tuple[float, ...] | None:
    """Probability that each is the largest, ties going to the first; None where rounding is in the way."""
    ends = [entrant.ends() for entrant in entrants]
    chances = []
    for place, entrant in enumerate(entrants):
        others = [(other, j > place) for j, other in enumerate(entrants) if j != place]
        kinks = [end for j, pair in enumerate(ends) if j != place for end in pair if math.isfinite(end)]

        def beats_all(values: Floats, others: list[tuple[Entrant, bool]] = others) -> Floats:
            product = np.ones(values.shape)
            for (other, include), number in _counted(others):
                product *= other.below(values, include=include) ** number
            return product

        chances.append(mean(entrant, beats_all, kinks))
    return tuple(chances) if abs(math.fsum(chances) - 1) <= ACCURATE else None


def _counted(others: list[tuple[Entrant, bool]]) -> list[tuple[tuple[Entrant, bool], int]]:
    found: dict[tuple[Entrant, bool], int] = {}
    for other in others:
        found[other] = found.get(other, 0) + 1
    return list(found.items())


@dataclass(frozen=True, slots=True)
class SumLaw:
    """The law of the sum of two independent functions of a variate each.

    As a step ``("law", SumLaw)`` of a chain it takes a uniform variate to the quantile of the sum.
    """

    first: Entrant
    second: Entrant

    def ends(self) -> tuple[float, float]:
        """Give the range of the sum."""
        (a, b), (c, d) = self.first.ends(), self.second.ends()
        return a + c, b + d

    def cdf(self, x: float) -> float:
        """Probability that the sum is at most x."""
        low, high = self.ends()
        return 0.0 if x <= low else 1.0 if x >= high else _cdf(self, x)

    def quantile(self, p: float) -> float:
        """Give the value that the sum stays below with probability p."""
        low, high = self.ends()
        if p <= 0 or p >= 1:
            return low if p <= 0 else high
        a, b = max(low, -1.0), min(high, 1.0)
        while self.cdf(a) > p:
            a = max(low, 2 * a - 1)
        while self.cdf(b) < p:
            b = min(high, 2 * b + 1)
        return float(brentq(lambda x: self.cdf(x) - p, a, b, xtol=1e-15, rtol=1e-15)) if a < b else a


@lru_cache(maxsize=20_000)
def _cdf(law: SumLaw, x: float) -> float:
    found = []
    for one, other in ((law.first, law.second), (law.second, law.first)):
        kinks = [x - end for end in one.ends() if math.isfinite(end)]
        found.append(mean(other, lambda y, one=one: one.below(x - y, include=True), kinks))  # type: ignore[misc]
    if abs(found[0] - found[1]) > ACCURATE:
        raise NotInvertible
    return min(1.0, found[0])


def without_common_end(chains: Sequence[Chain]) -> tuple[list[Chain], bool]:
    """Take off the last steps that all chains share, and tell whether they turn the order round."""
    shorter, turned = list(chains), False
    while all(chain and chain[-1] == shorter[0][-1] and chain[-1][0] != "clamp" for chain in shorter):
        step = shorter[0][-1]
        turned ^= step[0] in ("affine", "power") and step[1] < 0
        shorter = [chain[:-1] for chain in shorter]
    return shorter, turned


def turned_round(chain: Chain) -> Chain:
    """Give minus the function."""
    return then_affine(chain, -1, 0)


def constant(value: Number) -> Entrant:
    """Give a number as an entrant."""
    return Entrant((("affine", 1.0, float(value)),), 0.0, 0.0)
