"""What cannot be followed is refused, naming the operation and the line; its nearest twin is followed."""

# ruff: noqa: NPY002 -- other people's code

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from scd_analysis.exact import CannotEnumerate, exact_law


def product_of_two() -> Any:
    u = torch.rand(2)
    return bool(u[0] * u[1] < 0.3)


def sine() -> Any:
    return bool(torch.sin(torch.rand(())) < 0.3)


def normal() -> Any:
    return bool(torch.randn(()) < 0.3)


def normal_in_place() -> Any:
    return bool(torch.empty(1).normal_()[0] < 0.3)


def numpy_normal() -> Any:
    return bool(np.random.standard_normal() < 0.3)


def matrix_product() -> Any:
    return bool((torch.rand(2, 2) @ torch.ones(2))[0] < 0.3)


def race_against_a_constant() -> Any:
    return int(torch.cat([torch.empty(2).exponential_(), torch.ones(1)]).argmin())


def race_then_size() -> Any:
    e = torch.empty(2).exponential_()
    return int(e.argmin()), bool(e[0] < 1)


def size_then_race() -> Any:
    e = torch.empty(2).exponential_()
    return bool(e[0] < 1), int(e.argmin())


def coarse_guard_in_a_race() -> Any:
    return int((-torch.log(torch.rand(2) + 1e-3)).argmin())


def uniform_against_exponential() -> Any:
    return bool(torch.rand(()) < torch.empty(()).exponential_())


def returned() -> Any:
    return torch.rand(1)


def returned_scalar() -> Any:
    return torch.rand(1).item()


def hashed() -> Any:
    return {torch.rand(1).item(): 1}


def logged() -> Any:
    return len(f"u = {torch.rand(1).item():.3f}")


def too_many_integers() -> Any:
    return int(torch.randint(0, 10**9, (1,)))


def plain_float_wanted() -> Any:
    return math.sin(torch.rand(1).item()) < 0.5


def two_tokens_of_one_seed() -> Any:
    draws = [torch.rand(1, generator=torch.Generator().manual_seed(5)) for _ in range(2)]
    return bool(draws[0] < 0.3), bool(draws[1] < 0.3)


def seeded_again() -> Any:
    np.random.seed(3)
    first = bool(np.random.random() < 0.3)
    np.random.seed(3)
    return first, bool(np.random.random() < 0.3)


def equal_generators() -> Any:
    return [bool(np.random.default_rng(2).random() < 0.3) for _ in range(2)]


def equal_sources() -> Any:
    return [bool(np.random.Generator(np.random.PCG64(2)).random() < 0.3) for _ in range(2)]


def state_put_back() -> Any:
    state = torch.get_rng_state()
    first = bool(torch.rand(()) < 0.3)
    torch.set_rng_state(state)
    return first, bool(torch.rand(()) < 0.3)


def python_state_put_back() -> Any:
    state = random.getstate()
    first = random.random() < 0.3
    random.setstate(state)
    return first, random.random() < 0.3


def random_weights() -> Any:
    return int(torch.multinomial(torch.rand(3), 1))


def accumulated() -> Any:
    buffer = torch.zeros(2)
    buffer.index_put_((torch.tensor([0, 0]),), torch.rand(2), accumulate=True)
    return bool(buffer[0] < 1)


def bits_reinterpreted() -> Any:
    return bool(torch.rand(1).view(torch.int32)[0] > 3)


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (product_of_two, "product of two variates"),
    (sine, "sin at"),
    (normal, "randn at|normal"),
    (normal_in_place, "normal_ at"),
    (numpy_normal, "standard_normal"),
    (matrix_product, "mv|mm|matmul|addmv"),
    (race_against_a_constant, "constant competes"),
    (race_then_size, "race noise"),
    (size_then_race, "after it was compared with a constant"),
    (coarse_guard_in_a_race, "slack"),
    (uniform_against_exponential, "no common scale|no times of one race"),
    (returned, "returning a tensor of variates"),
    (returned_scalar, "returning a variate"),
    (hashed, "hashing"),
    (logged, "formatting a variate"),
    (too_many_integers, "too many"),
    (plain_float_wanted, "plain float"),
    (random_weights, "weights are themselves random"),
    (accumulated, "in place"),
    (bits_reinterpreted, "bits"),
    (two_tokens_of_one_seed, "a torch.Generator .* same state"),
    (seeded_again, "the seed 3 of numpy.random .* given twice"),
    (equal_generators, "the seed 2 of a numpy Generator .* given twice"),
    (equal_sources, "the seed .*PCG64.* of a numpy Generator .* given twice"),
    (state_put_back, "set_rng_state .* comes again"),
    (python_state_put_back, "setstate .* comes again"),
]


@pytest.mark.parametrize(("sampler", "what"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_refused_with_operation_and_line(sampler: Callable[[], Any], what: str) -> None:
    with pytest.raises(CannotEnumerate, match=what) as caught:
        exact_law(sampler)
    first = sampler.__code__.co_firstlineno
    lines = [int(line) for line in re.findall(r"test_refusals\.py:(\d+)", str(caught.value))]
    if sampler not in (returned, returned_scalar):  # these have no line of their own left when they are refused
        assert any(first < line <= first + 6 for line in lines)


def test_a_coarse_guard_is_bounded_when_asked() -> None:
    law = exact_law(coarse_guard_in_a_race, slack=0.01)
    low, high = law.total_variation_bounds({0: 0.5, 1: 0.5})
    assert low == 0
    assert 0 < high < 0.01
    with pytest.raises(ValueError, match="slack"):
        law.total_variation({0: 0.5, 1: 0.5})


def test_a_normal_draw_that_decides_nothing_is_no_obstacle() -> None:
    def sampler() -> bool:
        torch.randn(3)
        return bool(torch.rand(()) < 0.5)

    assert exact_law(sampler)[True] == 0.5


def test_the_samplers_own_error_says_where_it_happened() -> None:
    def sampler() -> int:
        return [1, 2][torch.multinomial(torch.ones(3), 1).item()]  # type: ignore[call-overload, no-any-return]

    with pytest.raises(IndexError) as caught:
        exact_law(sampler)
    assert "branch of probability 0.333" in "".join(caught.value.__notes__)


def test_two_seeds_are_two_sources_of_noise() -> None:
    def sampler() -> tuple[bool, bool]:
        draws = [torch.rand(1, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6)]
        return bool(draws[0] < 0.3), bool(draws[1] < 0.3)

    assert exact_law(sampler)[True, True] == pytest.approx(0.09)


def test_other_sources_and_a_generator_handed_on_are_followed() -> None:
    def by_source() -> tuple[bool, ...]:
        return tuple(bool(np.random.Generator(np.random.PCG64(7 + j)).random() < 0.3) for j in range(3))

    def handed_on() -> tuple[bool, ...]:
        rng = np.random.default_rng(0)
        return tuple(bool(np.random.default_rng(rng).random() < 0.3) for _ in range(3))

    for sampler in (by_source, handed_on):
        assert exact_law(sampler)[True, True, True] == pytest.approx(0.027)
