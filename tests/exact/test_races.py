"""Cells of the simplex: volumes against closed forms, against Qhull, and as Fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, HalfspaceIntersection

from scd_analysis.exact import exact_law
from scd_analysis.exact.geometry.cells import ANYWHERE, fastest, probability, slowest, tightened

weights = st.lists(st.integers(1, 20), min_size=3, max_size=3)


def races(*laws: list[Any]) -> Any:
    def sampler(draws: Any) -> tuple[int, ...]:
        race = draws.race("noise")
        return tuple(race.winner(law) for law in laws)

    return exact_law(sampler, arithmetic="rational", intercept=False)


@given(weights, weights)
@settings(max_examples=40, deadline=None)
def test_collision_of_two_races_is_the_closed_form(p: list[int], q: list[int]) -> None:
    """Theory, section 4: C = sum_i 1 / sum_v max(p_v / p_i, q_v / q_i)."""
    law = races(p, q)
    p_law, q_law = [Fraction(x, sum(p)) for x in p], [Fraction(x, sum(q)) for x in q]
    expected = sum(1 / sum(max(p_law[v] / p_law[i], q_law[v] / q_law[i]) for v in range(3)) for i in range(3))
    assert sum(law[i, i] for i in range(3)) == expected
    assert law.marginal(0).probabilities == dict(enumerate(p_law))
    assert law.marginal(1).probabilities == dict(enumerate(q_law))


def test_joint_law_of_four_races_sums_to_one() -> None:
    law = races([5, 3, 2], [2, 3, 5], [1, 4, 2], [7, 1, 1])
    assert sum(law.probabilities.values()) == 1
    assert law.marginal(3).probabilities == {0: Fraction(7, 9), 1: Fraction(1, 9), 2: Fraction(1, 9)}


def test_equal_laws_have_equal_winners() -> None:
    assert set(races([5, 3, 2], [10, 6, 4]).probabilities) == {(0, 0), (1, 1), (2, 2)}


def test_four_racers_as_fractions() -> None:
    law = races([1, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1, 1])
    assert sum(law.probabilities.values()) == 1
    assert law.marginal(2).probabilities == dict.fromkeys(range(4), Fraction(1, 4))


@pytest.mark.parametrize("size", [3, 4, 5])
def test_volume_agrees_with_qhull(size: int) -> None:
    """The cell of three races on the simplex, by half-space intersection and hull volume (an independent route)."""
    rng = np.random.default_rng(size)
    laws = [[int(x) for x in rng.integers(1, 9, size)] for _ in range(3)]
    checked = 0
    for winners in product(range(size), repeat=3):
        cell: Any = ANYWHERE
        for winner, law in zip(winners, laws, strict=True):
            cell = None if cell is None else tightened(cell, fastest(winner, dict(enumerate(map(Fraction, law)))))
        if cell is None:
            continue
        exact = probability(cell, rational=True)
        assert probability(cell, rational=False) == pytest.approx(float(exact), rel=1e-12)
        if checked < 12 and exact > Fraction(1, 1000):
            assert _qhull(cell, size) == pytest.approx(float(exact), rel=1e-8)
            checked += 1
    assert checked > 5


def _qhull(cell: Any, size: int) -> float:
    dim = size - 1  # the last coordinate is one minus the others
    rows = [np.append(-np.eye(dim)[k], 0.0) for k in range(dim)] + [np.append(np.ones(dim), -1.0)]
    for (i, j), bound in cell.edges.items():
        row = np.zeros(size)
        row[i], row[j] = 1.0, -float(bound)
        rows.append(np.append(row[:dim] - row[dim], row[dim]))
    half_spaces = np.array(rows)
    inside = _interior(half_spaces)
    corners = HalfspaceIntersection(half_spaces, inside).intersections
    factorial = float(np.prod(np.arange(1, dim + 1)))
    return float(ConvexHull(corners).volume * factorial)


def _interior(half_spaces: np.ndarray) -> np.ndarray:
    from scipy.optimize import linprog

    norms = np.linalg.norm(half_spaces[:, :-1], axis=1, keepdims=True)
    dim = half_spaces.shape[1] - 1
    found = linprog(
        np.append(np.zeros(dim), -1.0), A_ub=np.hstack([half_spaces[:, :-1], norms]), b_ub=-half_spaces[:, -1]
    )
    return np.asarray(found.x[:-1])


def test_slowest_and_fastest_of_two_are_complements() -> None:
    speeds = {0: Fraction(2), 1: Fraction(3)}
    both = tightened(ANYWHERE, fastest(0, speeds))
    assert both is not None
    assert probability(both, rational=True) == Fraction(2, 5)
    other = tightened(ANYWHERE, slowest(0, speeds))
    assert other is not None
    assert probability(other, rational=True) == Fraction(3, 5)
    assert tightened(both, slowest(0, speeds)) is None


def test_a_large_vocabulary() -> None:
    """Two races over 20 tokens: the dimension is that of the winners, not of the vocabulary."""
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(20)).tolist(), rng.dirichlet(np.ones(20)).tolist()

    def sampler(draws: Any) -> tuple[int, int]:
        race = draws.race("noise")
        return race.winner(p), race.winner(q)

    law = exact_law(sampler, intercept=False)
    assert law.marginal(1).total_variation(dict(enumerate(q))) < 1e-12
