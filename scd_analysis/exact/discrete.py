"""Discrete draws: each alternative is a branch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.knowledge import MOST_CELLS
from scd_analysis.exact.refusals import AS_A_SEED, refuse
from scd_analysis.exact.run import Run


def categorical(run: Run, law: Sequence[Number]) -> int:
    """Draw an index from a normalised law."""
    return run.walk.choose("categorical", law)


def fair(run: Run, count: int) -> int:
    """Draw one of ``0 ... count - 1``, all equally likely.

    Raises
    ------
    ValueError
        If there is none, as NumPy says it.
    """
    if count < 1:
        raise ValueError("low >= high")
    if count > MOST_CELLS:
        refuse("a random integer", f"{count} possible values are too many to enumerate; {AS_A_SEED}")
    one = run.known.number(1)
    return run.walk.choose("integer", [one / count] * count)


def without_replacement(run: Run, law: Sequence[Number], count: int) -> list[int]:
    """Draw ``count`` different indices one after another, each from what is left of ``law``."""
    left = list(law)
    found = []
    for _ in range(count):
        mass = run.known.total(left)
        found.append(run.walk.choose("categorical", [weight / mass for weight in left]))
        left[found[-1]] = run.known.number(0)
    return found


def permutation(run: Run, count: int) -> list[int]:
    """Draw a permutation of ``0 ... count - 1``, all equally likely."""
    left = list(range(count))
    return [left.pop(fair(run, len(left))) for _ in range(count)]


def binomial(run: Run, trials: int, probability: Number) -> int:
    """Draw the number of successes.

    Raises
    ------
    ValueError
        If no such draw can be made, as NumPy says it.
    """
    if trials < 0:
        raise ValueError("n < 0")
    p = run.known.number(probability)
    if not 0 <= p <= 1:
        raise ValueError("p < 0, p > 1 or p is NaN")
    chances = [math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(trials + 1)]
    return run.walk.choose("binomial", chances)


def counts(run: Run, trials: int, law: Sequence[Number]) -> list[int]:
    """Draw how often each alternative comes in ``trials`` independent draws.

    Raises
    ------
    ValueError
        If there are fewer than none, as NumPy says it.
    """
    if trials < 0:
        raise ValueError("n < 0")
    left, mass = trials, run.known.number(1)
    found = []
    for index, weight in enumerate(law):
        last = index == len(law) - 1
        share = min(weight / mass, run.known.number(1)) if mass > 0 else run.known.number(0)
        found.append(left if last else binomial(run, left, share) if left else 0)
        left -= found[-1]
        mass = run.known.total(law[index + 1 :])
    return found
