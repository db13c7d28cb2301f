"""Variates without a common scale: closed forms, quadrature by another route, samples, and what is used only once."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from scd_analysis.exact import CannotEnumerate, assert_exact, exact_law
from scd_analysis.exact.geometry.contest import Entrant, largest

F64 = torch.float64
P = [0.5, 0.3, 0.2]
LOGITS = torch.tensor(P, dtype=F64).log()
PROBS = torch.tensor(P, dtype=F64)


def u64(*shape: int) -> torch.Tensor:
    return torch.rand(shape, dtype=F64)


def guarded(eps: float, dtype: torch.dtype = F64) -> Callable[[], int]:
    """Gumbel noise as many repositories write it."""

    def sampler() -> int:
        noise = -torch.log(-torch.log(torch.rand(3, dtype=dtype) + eps) + eps)
        return int((LOGITS.to(dtype) + noise).softmax(-1).argmax())

    return sampler


def shifted_law(eps: float) -> list[float]:
    """The law of ``argmin (e_i + s) / p_i`` with e exponential, by its density: an independent route to `guarded`.

    With ``u + eps`` in place of u, ``-ln(u + eps)`` has the distribution function ``1 - (exp(-x) - eps)`` on its range.
    """
    low, high = -math.log1p(eps), -math.log(eps)

    def survives(x: float) -> float:
        return 1.0 if x < low else 0.0 if x > high else math.exp(-x) - eps

    found = []
    for i, p in enumerate(P):

        def density(x: float, i: int = i, p: float = p) -> float:
            rest = 1.0
            for j, q in enumerate(P):
                rest *= survives((x + eps) / p * q - eps) if j != i else 1.0
            return math.exp(-x) * rest

        cuts = sorted(
            {
                min(max((end + eps) / q * p - eps, low), high)
                for q in P
                for end in (low, low + 1e-3, 0.1, 1.0, 5.0, high)
            }
        )
        found.append(math.fsum(quad(density, a, b, epsabs=1e-14, epsrel=1e-13)[0] for a, b in pairwise(cuts)))
    return found


@pytest.mark.parametrize("eps", [1e-2, 1e-3, 1e-5, 1e-7, 1e-9, 1e-10])
def test_an_epsilon_in_both_logarithms_is_followed(eps: float) -> None:
    law = exact_law(guarded(eps))
    assert law.slack == 0
    for token, p in enumerate(shifted_law(eps)):
        assert law[token] == pytest.approx(p, abs=2e-12)
    distance = law.total_variation(dict(enumerate(P)))
    assert distance == pytest.approx(0.16 * eps, rel=0.02)  # so it is no exact sampler, by a known amount


@pytest.mark.slow
def test_an_epsilon_below_all_rounding_is_passed_over_and_counted() -> None:
    for dtype in (torch.float32, F64):
        law = exact_law(guarded(1e-20, dtype))
        assert 0 < law.slack < 1e-19
        assert any("guards inside races" in note for note in law.notes)
    assert_exact(exact_law(guarded(1e-20)), dict(enumerate(P)))


def test_an_epsilon_that_is_passed_over_on_demand_bounds_the_law() -> None:
    law = exact_law(guarded(1e-9), slack=1e-7)
    low, high = law.total_variation_bounds(dict(enumerate(P)))
    assert low < 1e-15
    assert 1e-9 < high < 1e-7


@pytest.mark.slow
def test_the_guarded_law_against_samples() -> None:
    """A million draws with an epsilon of .05: false-fail rate 1e-6 by Hoeffding's bound and a union over 3 tokens.

    It resolves .0028 in a probability; the law without the epsilon is more than three times that away.
    """
    rng, eps, number = np.random.default_rng(20), 0.05, 1_000_000
    noise = -np.log(-np.log(rng.random((number, 3))) + eps)
    found = np.bincount((np.log(P) + noise).argmax(1), minlength=3) / number
    law = exact_law(lambda: int((LOGITS - torch.log(-torch.log(u64(3)) + eps)).argmax()))
    radius = math.sqrt(math.log(2 * 3 / 1e-6) / (2 * number))
    assert max(abs(found[i] - law[i]) for i in range(3)) < radius
    assert max(abs(found[i] - P[i]) for i in range(3)) > 3 * radius


A, B = math.log(2), math.exp(-1)
CLOSED: list[tuple[Callable[[], Any], float]] = [
    (lambda: u64() * u64() < 0.3, 0.3 * (1 - math.log(0.3))),
    (lambda: random.random() * random.random() < 0.3, 0.3 * (1 - math.log(0.3))),
    (lambda: np.random.default_rng(0).random(2).prod() < 0.3, 0.3 * (1 - math.log(0.3))),
    (lambda: u64() + u64() < 0.3, 0.045),
    (lambda: u64(2).sum() < 1.7, 1 - 0.045),
    (lambda: u64(2).mean() < 0.15, 0.045),
    (lambda: u64() - u64() < 0.3, 1 - 0.245),
    (lambda: u64() / u64() < 0.3, 0.15),
    (lambda: u64(2).log().sum() < -1, 2 * B),
    (lambda: torch.empty(2, dtype=F64).exponential_().sum() < 1, 1 - 2 * B),
    (lambda: 3 * u64() + 2 < u64() + 3, 0.5),
    (lambda: 2 * random.random() < random.random(), 0.25),
    (lambda: random.random() ** 2 < random.random(), 2 / 3),
    (lambda: u64() < torch.empty((), dtype=F64).exponential_(), 1 - B),
    (lambda: torch.cat([torch.empty(2, dtype=F64).exponential_(), torch.ones(1, dtype=F64)]).argmin() == 2, B**2),
    (lambda: max(0.5, random.random(), random.random()) == 0.5, 0.25),
    (lambda: torch.argmax(u64(2).clamp(min=0.5)) == 0, 0.25 + 0.375),
    (lambda: u64(2).clamp(max=0.5).argmax() == 0, 0.75 - 0.125),
    (lambda: u64(2).clamp(max=0.5).argmin() == 0, 0.25 + 0.375),
    (lambda: u64() + u64() < u64() + u64(), 0.5),
    (lambda: torch.floor(u64() + u64()) == 1, 0.5),
]


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "chance"), CLOSED, ids=range(len(CLOSED)))
def test_closed_forms(sampler: Callable[[], Any], chance: float) -> None:
    law = exact_law(lambda: bool(sampler()))
    assert law[True] == pytest.approx(chance, abs=1e-12)


def test_a_sum_that_decides_twice_is_one_variate() -> None:
    def sampler() -> tuple[bool, bool]:
        total = u64() + u64()
        return bool(total < 0.3), bool(total < 0.5)

    assert_exact(sampler, {(True, True): 0.045, (False, True): 0.125 - 0.045, (False, False): 0.875})


def test_who_was_first_is_known_afterwards() -> None:
    def sampler() -> tuple[int, bool, bool]:
        noisy = PROBS / (-torch.log(u64(3)) + 1e-3)
        best = noisy.max()
        return int(noisy.argmax()), bool((noisy == best)[0]), bool((noisy >= best)[0])

    law = exact_law(sampler)
    assert {outcome[0]: outcome[1:] for outcome in law.probabilities} == {
        0: (True, True),
        1: (False, False),
        2: (False, False),
    }


def test_intervals_that_were_known_before_count() -> None:
    def sampler() -> tuple[bool, int]:
        e = torch.empty(2, dtype=F64).exponential_()
        return bool(e[0] < 1), int(e.argmin())

    both = (1 - math.exp(-2)) / 2
    expected = {(True, 0): both, (True, 1): 1 - B - both, (False, 0): math.exp(-2) / 2}
    assert_exact(sampler, {**expected, (False, 1): B - math.exp(-2) / 2})


def test_many_entrants_sum_to_one() -> None:
    weights = np.random.default_rng(1).dirichlet(np.ones(12))
    entrants = tuple(
        Entrant((("log",), ("affine", -1.0, 1e-4), ("log",), ("affine", -1.0, math.log(w))), 0.0, 1.0) for w in weights
    )
    chances = largest(entrants)
    assert chances is not None
    assert max(abs(p - w) for p, w in zip(chances, weights, strict=True)) < 1e-3


def test_a_contest_is_refused_in_fractions() -> None:
    with pytest.raises(CannotEnumerate, match="common scale"):
        exact_law(lambda draws: draws.uniform("a") * 2 < draws.uniform("b"), arithmetic="rational", intercept=False)


def test_too_many_entrants_are_refused_with_the_remedy() -> None:
    def sampler() -> int:
        return int((-torch.log(-torch.log(u64(65) + 1e-9) + 1e-9) + torch.arange(65) * 1e-3).argmax())

    with pytest.raises(CannotEnumerate, match=r"65 variates .* too many \(at most 64\).*slack="):
        exact_law(sampler)
