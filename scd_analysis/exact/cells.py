"""Cells of shared noise: what the races so far have revealed about i.i.d. exponential variates.

A race tells ratios: ``e_i < d e_j``. A set of such half-spaces, closed under composition (``d_ij <= d_ik d_kj``), is
the same for two histories exactly when they left the same cell, so it serves as part of a state key. Ratios are kept as
Fractions in both arithmetics: whether a cell is empty is never a matter of rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.cones import Edges, cone_probability

Cell = dict[tuple[int, int], Fraction]


def tightened(cell: Edges, half_spaces: Mapping[tuple[int, int], Fraction]) -> Cell | None:
    """Intersect a cell with half-spaces.

    Returns
    -------
    dict or None
        The closed intersection, or None when its interior is empty.
    """
    edges: Cell = dict(cell)
    for pair, bound in half_spaces.items():
        if pair not in edges or bound < edges[pair]:
            edges[pair] = bound
    return _closed(edges)


def _closed(edges: Cell) -> Cell | None:
    """Close under composition (Floyd-Warshall, multiplicative); only variates on the left can stand in the middle."""
    centres = sorted({i for i, _ in edges})
    for middle in centres:
        outgoing = [(j, bound) for (i, j), bound in edges.items() if i == middle]
        incoming = [(i, edges[i, middle]) for i in centres if (i, middle) in edges]
        for i, first in incoming:
            for j, second in outgoing:
                bound = first * second
                if i == j:
                    if bound <= 1:
                        return None
                elif (i, j) not in edges or bound < edges[i, j]:
                    edges[i, j] = bound
    return edges


def fastest(index: int, weights: Mapping[int, Fraction]) -> Cell:
    """Half-spaces of "``index`` has the smallest e/weight among the keys of ``weights``"; a zero weight never wins."""
    own = weights[index]
    return {(index, other): own / weight for other, weight in weights.items() if other != index and weight > 0}


def slowest(index: int, weights: Mapping[int, Fraction]) -> Cell:
    """Half-spaces of "``index`` has the largest e/weight among the keys of ``weights``"."""
    own = weights[index]
    return {(other, index): weight / own for other, weight in weights.items() if other != index}


def probability(cell: Edges, rational: bool) -> Number:
    """Probability of a cell; the whole space has none of the half-spaces and probability one."""
    if not cell:
        return Fraction(1) if rational else 1.0
    return cone_probability(cell, rational)
