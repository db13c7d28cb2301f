"""What cannot be followed is refused, naming the operation and the line; its nearest twin is followed."""

# ruff: noqa: NPY002 -- other people's code

from __future__ import annotations

import math
import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from scd_analysis.exact import CannotEnumerate, exact_law

POOL = ThreadPoolExecutor(1)
POOL.submit(int).result()  # its thread lives before anything is intercepted
ARRAY = np.zeros(3)
OF_AN_ARRAY = torch.from_numpy(ARRAY)
WITH_AN_ARRAY = torch.zeros(3)
ITS_ARRAY = WITH_AN_ARRAY.numpy()


def product_of_three() -> Any:
    u = torch.rand(3)
    return bool(u[0] * u[1] * u[2] < 0.3)


def sum_of_three() -> Any:
    return bool(torch.rand(3).sum() < 0.3)


def product_of_any_sign() -> Any:
    u = torch.rand(2) - 0.5
    return bool(u[0] * u[1] < 0.3)


def product_and_a_factor() -> Any:
    u = torch.rand(2)
    return bool(u[0] * u[1] < 0.3), bool(u[0] < 0.3)


def factor_and_a_product() -> Any:
    u = torch.rand(2)
    product = u[0] * u[1]
    return bool(u[0] < 0.3), bool(product < 0.3)


def two_contests_of_one_noise() -> Any:
    e = -torch.log(torch.rand(2) + 1e-3)
    return int((e * torch.tensor([1.0, 2.0])).argmin()), int(e.argmin())


def log_of_more_than_one() -> Any:
    return int((-torch.log(-torch.log(torch.rand(2) + 1e-9))).argmax())


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


def race_then_size() -> Any:
    e = torch.empty(2).exponential_()
    return int(e.argmin()), bool(e[0] < 1)


def coarse_guard_in_a_race() -> Any:
    return int((-torch.log(torch.rand(2) + 1e-3)).argmin())


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


def in_a_thread() -> Any:
    u, found = torch.rand(1), []
    thread = threading.Thread(target=lambda: found.append(bool(u < 0.3)))
    thread.start()
    thread.join()
    return found


def in_a_pool_from_outside() -> Any:
    u = torch.rand(1)
    return POOL.submit(lambda: bool(u < 0.3)).result()


def looked_at_in_a_pool() -> Any:
    token = torch.multinomial(torch.ones(3), 1)
    return POOL.submit(lambda: token.item()).result()


def through_the_memory_of_an_array() -> Any:
    OF_AN_ARRAY.uniform_()
    return bool(ARRAY[0] < 0.3)


def through_an_array_of_its_memory() -> Any:
    WITH_AN_ARRAY.uniform_()
    return bool(ITS_ARRAY[0] < 0.3)


def as_text() -> Any:
    return str(torch.rand(1).item())


def tensor_as_text() -> Any:
    return repr(torch.rand(1))


def complex_numbers() -> Any:
    return bool(torch.rand(1).to(torch.complex64).real < 0.3)


def sparse() -> Any:
    return bool(torch.rand(2).to_sparse().to_dense()[0] < 0.3)


def nested() -> Any:
    return bool(torch.nested.nested_tensor([torch.rand(2)])[0][0] < 0.3)


def made_larger() -> Any:
    return bool(torch.rand(1).resize_as_(torch.zeros(400))[0] < 0.3)


def moved_to_shared_memory() -> Any:
    return bool(torch.rand(1).share_memory_()[0] < 0.3)


def list_of_tensors() -> Any:
    return bool(torch.tensor([torch.rand(()), torch.ones(())])[0] < 0.3)


def filled_by_a_number() -> Any:
    return bool(torch.full((2,), torch.rand(1).item())[0] < 0.3)


def handed_to_a_function() -> Any:
    return bool(torch.rand(1).apply_(lambda x: float(x < 0.3)))


def mapped_by_a_function() -> Any:
    return bool(torch.zeros(1).map_(torch.rand(1), lambda _, u: float(u < 0.3)))


def into_a_byte_too_small() -> Any:
    return int((torch.rand(1) * 4 + 254).to(torch.uint8))


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (product_of_three, "product of two variates .*only sums and products of two"),
    (sum_of_three, "sum of two variates .*only sums and products of two"),
    (product_of_any_sign, "product of two variates .*signs"),
    (product_and_a_factor, "using a variate again .*product of two variates"),
    (factor_and_a_product, "product of two variates .*compared with something else before"),
    (two_contests_of_one_noise, "using a variate again .*argmin.*slack="),
    (log_of_more_than_one, "log at .*negative with probability 1e-09"),
    (sine, "sin at"),
    (normal, "randn at|normal"),
    (normal_in_place, "normal_ at"),
    (numpy_normal, "standard_normal"),
    (matrix_product, "mv|mm|matmul|addmv"),
    (race_then_size, "race noise"),
    (returned, "returning a tensor of variates"),
    (returned_scalar, "returning a variate"),
    (hashed, "hashing"),
    (logged, "formatting a variate"),
    (too_many_integers, "too many"),
    (plain_float_wanted, "plain float"),
    (random_weights, "weights are themselves random"),
    (accumulated, "in place"),
    (bits_reinterpreted, "bits"),
    (in_a_thread, "lt at .* another thread"),
    (in_a_pool_from_outside, "lt at .* another thread"),
    (looked_at_in_a_pool, "another thread"),
    (through_the_memory_of_an_array, "NumPy or another library"),
    (through_an_array_of_its_memory, "NumPy or another library"),
    (as_text, "formatting a variate"),
    (tensor_as_text, "formatting a tensor"),
    (complex_numbers, "complex numbers"),
    (sparse, "layout"),
    (nested, "layout"),
    (made_larger, "resize_as_"),
    (moved_to_shared_memory, "bits of a variate"),
    (list_of_tensors, "plain float"),
    (filled_by_a_number, "_local_scalar_dense"),
    (two_tokens_of_one_seed, "a torch.Generator .* same state"),
    (seeded_again, "the seed 3 of numpy.random .* given twice"),
    (equal_generators, "the seed 2 of a numpy Generator .* given twice"),
    (equal_sources, "the seed .*PCG64.* of a numpy Generator .* given twice"),
    (state_put_back, "set_rng_state .* comes again"),
    (handed_to_a_function, "apply_ at"),
    (mapped_by_a_function, "map_ at"),
    (into_a_byte_too_small, "conversion to torch.uint8"),
    (python_state_put_back, "setstate .* comes again"),
]


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_clock_is_told_beside_a_draw() -> None:
    """What differs from run to run like a fair coin is missed with probability 1/256, a coin a run with 2^-256."""

    def sampler() -> tuple[int, bool]:
        return time.perf_counter_ns(), bool(torch.rand(()) < 0.5)

    with pytest.raises(CannotEnumerate, match="repeat itself"):
        exact_law(sampler)
    met = []

    def rare() -> tuple[bool, bool]:
        met.append(1)
        return len(met) == 7, bool(torch.rand(()) < 0.5)

    with pytest.raises(CannotEnumerate, match="repeat itself"):
        exact_law(rare)


@pytest.mark.slow
def test_two_seeds_are_two_sources_of_noise() -> None:
    def sampler() -> tuple[bool, bool]:
        draws = [torch.rand(1, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6)]
        return bool(draws[0] < 0.3), bool(draws[1] < 0.3)

    assert exact_law(sampler)[True, True] == pytest.approx(0.09)


@pytest.mark.slow
def test_other_sources_and_a_generator_handed_on_are_followed() -> None:
    def by_source() -> tuple[bool, ...]:
        return tuple(bool(np.random.Generator(np.random.PCG64(7 + j)).random() < 0.3) for j in range(3))

    def handed_on() -> tuple[bool, ...]:
        rng = np.random.default_rng(0)
        return tuple(bool(np.random.default_rng(rng).random() < 0.3) for _ in range(3))

    for sampler in (by_source, handed_on):
        assert exact_law(sampler)[True, True, True] == pytest.approx(0.027)


@pytest.mark.parametrize("of_two", [torch.minimum, torch.maximum])
def test_the_larger_of_two_variates_is_refused_with_the_remedy(of_two):
    with pytest.raises(CannotEnumerate, match="compare each variate with the constant"):
        exact_law(lambda: bool(of_two(torch.rand(()), torch.rand(())) < 0.5))


def test_each_of_two_variates_is_followed():
    law = exact_law(lambda: bool((torch.rand(()) < 0.5) & (torch.rand(()) < 0.5)))
    assert law.probabilities[True] == pytest.approx(0.25, abs=1e-12)
