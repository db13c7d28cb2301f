"""Probability that i.i.d. exponential variates lie in a cone, by splitting it into simplicial cones.

Only ratios matter, so this is the volume fraction of a cell of the simplex (theory, section 7). A simplicial cone with
rays ``r_1 ... r_d`` has ``integral exp(-l . x) = |det[r]| / prod_k (l . r_k)``. A cut by a hyperplane replaces one ray
by a convex combination of two, which multiplies the determinant by a known factor: every term is positive, nothing
cancels, and rational input gives a rational result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from scd_analysis.exact.arithmetic import Number, total

Edges = Mapping[tuple[int, int], Fraction]
"""``{(i, j): d}`` stands for the half-spaces e_i < d e_j."""

Ray = tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class _Cone:
    rays: tuple[Ray, ...]
    determinant: Number
    rates: tuple[Number, ...]  # the linear form l

    def integral(self) -> Number:
        value = self.determinant
        for ray in self.rays:
            value /= sum(rate * x for rate, x in zip(self.rates, ray, strict=True))
        return value


def _split(cone: _Cone, heights: tuple[Number, ...]) -> tuple[list[_Cone], list[_Cone]]:
    """Split at the hyperplane through the origin whose value at ray k is ``heights[k]``: (where <= 0, where >= 0)."""
    low = next((k for k, h in enumerate(heights) if h < 0), None)
    high = next((k for k, h in enumerate(heights) if h > 0), None)
    if high is None:
        return [cone], []
    if low is None:
        return [], [cone]
    up, down = heights[high] / (heights[high] - heights[low]), -heights[low] / (heights[high] - heights[low])
    middle = tuple(up * a + down * b for a, b in zip(cone.rays[low], cone.rays[high], strict=True))
    below, above = [], []
    for replaced, factor in ((high, down), (low, up)):
        rays, values = list(cone.rays), list(heights)
        rays[replaced], values[replaced] = middle, 0
        pieces = _split(_Cone(tuple(rays), cone.determinant * factor, cone.rates), tuple(values))
        below += pieces[0]
        above += pieces[1]
    return below, above


def _heights(cone: _Cone, i: int, j: int, bound: Number) -> tuple[Number, ...]:
    return tuple(ray[i] - bound * ray[j] for ray in cone.rays)


def _minimal(edges: Edges) -> dict[tuple[int, int], Fraction]:
    """Drop half-spaces implied by two others; what is left depends on the cell only, if ``edges`` are closed."""
    centres = {i for i, _ in edges}
    kept = dict(edges)
    for (i, j), bound in edges.items():
        for middle in centres - {i, j}:
            if (i, middle) in edges and (middle, j) in edges and edges[i, middle] * edges[middle, j] == bound:
                del kept[i, j]
                break
    return kept


def cone_probability(edges: Edges, rational: bool) -> Number:
    """Probability of ``{e_i < d e_j for each ((i, j), d) in edges}`` under i.i.d. exponential e.

    Parameters
    ----------
    edges
        Half-spaces, closed under composition and with a non-empty interior (see `cells`).
    rational
        Whether to compute in Fractions; else in float64.

    Notes
    -----
    A variate that never stands on the left is, given the others, free above a maximum of linear functions:
    ``Pr[e_k > m] = exp(-m)``. So the cone lives in as many dimensions as there are variates on the left (the winners
    so far), whatever the size of the vocabulary.
    """
    names = {name: index for index, name in enumerate(sorted({k for edge in edges for k in edge}))}
    return _probability(frozenset(((names[i], names[j]), d) for (i, j), d in edges.items()), rational)


@lru_cache(maxsize=200_000)
def _probability(items: frozenset[tuple[tuple[int, int], Fraction]], rational: bool) -> Number:
    edges: dict[tuple[int, int], Number] = {
        pair: d if rational else float(d) for pair, d in _minimal(dict(items)).items()
    }
    centres = sorted({i for i, _ in edges})
    axis = {name: index for index, name in enumerate(centres)}
    one: Number = Fraction(1) if rational else 1.0
    rays = tuple(tuple(one if a == b else 0 * one for b in centres) for a in centres)
    cones = [_Cone(rays, one, (one,) * len(centres))]
    lower: dict[int, list[tuple[int, Number]]] = {}
    for (i, j), bound in sorted(edges.items()):
        if j in axis:
            cones = [piece for cone in cones for piece in _split(cone, _heights(cone, axis[i], axis[j], bound))[0]]
        else:
            lower.setdefault(j, []).append((axis[i], bound))
    for constraints in lower.values():
        cones = [piece for cone in cones for piece in _above_maximum(cone, constraints)]
    return total(cone.integral() for cone in cones)


def _above_maximum(cone: _Cone, constraints: list[tuple[int, Number]]) -> list[_Cone]:
    """Integrate one free variate out: it exceeds ``max x_i / d`` over ``constraints``, (i, d)."""
    (leader, bound), *rest = constraints
    if not rest:
        rates = list(cone.rates)
        rates[leader] += 1 / bound
        return [_Cone(cone.rays, cone.determinant, tuple(rates))]
    (rival, other), *others = rest
    heights = _heights(cone, leader, rival, bound / other)
    rival_leads, leader_leads = _split(cone, heights)
    return [
        *(piece for part in leader_leads for piece in _above_maximum(part, [(leader, bound), *others])),
        *(piece for part in rival_leads for piece in _above_maximum(part, [(rival, other), *others])),
    ]
