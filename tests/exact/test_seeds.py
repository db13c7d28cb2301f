"""Generators seeded from a drawn integer: enumerated where there are few, refused with the remedy where there are many.

A seed is ignored, and noise of any seed has the law of fresh noise; but a seed that comes twice brings the same noise,
so the branch in which two drawn seeds are equal is refused, and none is enumerated wrongly.
"""

# ruff: noqa: NPY002 -- other people's code

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from scd_analysis.exact import CannotEnumerate, assert_exact, exact_law

F64 = torch.float64


def uniform(**options: Any) -> bool:
    return bool(torch.rand((), dtype=F64, **options) < 0.3)


def torch_global(seed: Any) -> bool:
    torch.manual_seed(seed)
    return uniform()


def numpy_global(seed: Any) -> bool:
    np.random.seed(seed)
    return bool(np.random.rand() < 0.3)


def python_global(seed: Any) -> bool:
    random.seed(seed)
    return random.random() < 0.3


def integer() -> int:
    return int(torch.randint(0, 3, ()))


FEW: list[Callable[[], bool]] = [
    lambda: torch_global(torch.randint(0, 3, (1,)).item()),
    lambda: torch_global(torch.randint(0, 3, (1,))),
    lambda: uniform(generator=torch.Generator().manual_seed(integer())),
    lambda: numpy_global(np.random.default_rng(9).integers(3)),
    lambda: bool(np.random.default_rng(np.random.randint(3)).random() < 0.3),
    lambda: bool(np.random.default_rng([4, integer()]).random() < 0.3),
    lambda: bool(np.random.default_rng(np.random.SeedSequence(integer())).random() < 0.3),
    lambda: bool(np.random.Generator(np.random.Philox(key=integer())).random() < 0.3),
    lambda: bool(np.random.RandomState(random.randrange(3)).rand() < 0.3),
    lambda: python_global(integer()),
    lambda: random.Random(f"{random.randrange(3)}/2").random() < 0.3,
]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", FEW, ids=range(len(FEW)))
def test_a_seed_out_of_few_is_enumerated(sampler: Callable[[], bool]) -> None:
    law = assert_exact(sampler, {True: 0.3, False: 0.7})
    assert law.branches == 6
    assert any("seed" in note for note in law.notes)


MANY: list[Callable[[], bool]] = [
    lambda: torch_global(int(torch.randint(0, 2**31, ()))),
    lambda: torch_global(int(torch.rand(()) * 2**31)),
    lambda: bool(np.random.default_rng(np.random.default_rng(0).integers(2**32)).random() < 0.3),
    lambda: python_global(random.getrandbits(64)),
    lambda: python_global(random.random()),
]


@pytest.mark.parametrize("sampler", MANY, ids=range(len(MANY)))
def test_a_seed_out_of_many_is_refused_with_the_remedy(sampler: Callable[[], bool]) -> None:
    with pytest.raises(CannotEnumerate, match=r"too many to enumerate.*seed it with a constant"):
        exact_law(sampler)


TWICE: list[Callable[[], tuple[bool, bool]]] = [
    lambda: (torch_global(integer()), torch_global(integer())),
    lambda: (numpy_global(integer()), numpy_global(integer())),
    lambda: (python_global(integer()), python_global(integer())),
    lambda: tuple(uniform(generator=torch.Generator().manual_seed(integer())) for _ in range(2)),  # type: ignore[return-value]
    lambda: tuple(bool(np.random.default_rng(integer()).random() < 0.3) for _ in range(2)),  # type: ignore[return-value]
]


@pytest.mark.parametrize("sampler", TWICE, ids=range(len(TWICE)))
def test_two_drawn_seeds_that_may_be_equal_are_refused(sampler: Callable[[], Any]) -> None:
    with pytest.raises(CannotEnumerate, match=r"comes? again"):
        exact_law(sampler)


def test_a_seed_that_is_also_returned_is_independent_of_its_noise() -> None:
    def sampler() -> tuple[int, bool]:
        seed = integer()
        return seed, uniform(generator=torch.Generator().manual_seed(seed))

    assert_exact(sampler, {(k, hit): p / 3 for k in range(3) for hit, p in ((True, 0.3), (False, 0.7))})
