"""Cells of shared noise: what the races so far have revealed about i.i.d. exponential variates.

A race tells ratios: ``e_i < d e_j``. A set of such half-spaces, closed under composition (``d_ij <= d_ik d_kj``), is
the same for two histories exactly when they left the same cell, so it serves as part of a state key. Ratios are kept as
Fractions in both arithmetics: whether a cell is empty is never a matter of rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from scd_analysis.exact.arithmetic import Number
from scd_analysis.exact.geometry.cones import cone_probability

Edges = dict[tuple[int, int], Fraction]


class Cell:
    """A cell, hashable: ``edges[i, j] = d`` stands for e_i < d e_j.

    Parameters
    ----------
    edges
        Closed under composition; no half-spaces at all for the whole space.
    """

    __slots__ = ("_hash", "edges")

    def __init__(self, edges: Edges) -> None:
        self.edges = edges
        self._hash = hash(frozenset(edges.items()))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Cell) and self.edges == other.edges)

    @property
    def members(self) -> set[int]:
        """The variates that it says something about."""
        return {name for edge in self.edges for name in edge}

    def renamed(self, names: Mapping[int, int]) -> Cell:
        """Give the same cell of other variates."""
        return Cell({(names[i], names[j]): bound for (i, j), bound in self.edges.items()})


ANYWHERE = Cell({})


def tightened(cell: Cell, half_spaces: Edges) -> Cell | None:
    """Intersect a cell with half-spaces.

    Returns
    -------
    Cell or None
        The closed intersection, or None when its interior is empty.
    """
    edges = dict(cell.edges)
    for pair, bound in half_spaces.items():
        if pair not in edges or bound < edges[pair]:
            edges[pair] = bound
    closed = _closed(edges)
    return None if closed is None else Cell(closed)


def _closed(edges: Edges) -> Edges | None:
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


def fastest(index: int, weights: Mapping[int, Fraction]) -> Edges:
    """Half-spaces of "``index`` has the smallest e/weight among the keys of ``weights``"; a zero weight never wins."""
    own = weights[index]
    return {(index, other): own / weight for other, weight in weights.items() if other != index and weight > 0}


def slowest(index: int, weights: Mapping[int, Fraction]) -> Edges:
    """Half-spaces of "``index`` has the largest e/weight among the keys of ``weights``"."""
    own = weights[index]
    return {(other, index): weight / own for other, weight in weights.items() if other != index}


def probability(cell: Cell, rational: bool) -> Number:
    """Probability of a cell; that of the whole space is one."""
    if not cell.edges:
        return Fraction(1) if rational else 1.0
    return cone_probability(cell.edges, rational)


@lru_cache(maxsize=100_000)
def outcomes(
    cell: Cell, weights: tuple[tuple[int, Fraction], ...], slow: bool, rational: bool
) -> tuple[tuple[Cell | None, ...], tuple[Number, ...]]:
    """Give, for each racer, the cell that is left if it wins a race, and that cell's probability.

    Parameters
    ----------
    cell
        What is known before.
    weights
        Racers and their speeds: e/weight is compared.
    slow
        Whether the largest wins rather than the smallest.
    rational
        Arithmetic of the probabilities.
    """
    speeds = dict(weights)
    left: list[Cell | None] = []
    for name, weight in weights:
        wins = slowest(name, speeds) if slow else fastest(name, speeds)
        left.append(tightened(cell, wins) if slow or weight > 0 else None)
    zero: Number = Fraction(0) if rational else 0.0
    return tuple(left), tuple(zero if after is None else probability(after, rational) for after in left)
