"""Noise that comes again, by whatever way: refused, since enumeration would take it as new."""

import copy
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from scd_analysis import exact_law
from scd_analysis.errors import CannotEnumerate

OUTER, OTHER = torch.Generator(), torch.Generator().manual_seed(5)


def _torch(generator: torch.Generator) -> bool:
    return bool(torch.rand(1, generator=generator) < 0.5)


def _numpy(generator: Any) -> bool:
    return bool(generator.random() < 0.5)


def outer_rewound() -> Any:
    state = OUTER.get_state()
    first = _torch(OUTER)
    OUTER.set_state(state)
    return first, _torch(OUTER)


def outer_seeded_twice() -> Any:
    return [_torch(OUTER.manual_seed(3)) for _ in range(2)]


def two_of_the_default_seed() -> Any:
    return [_torch(torch.Generator()) for _ in range(2)]


def cloned() -> Any:
    generator = torch.Generator().manual_seed(1)
    return _torch(generator.clone_state()), _torch(generator)


def global_and_own() -> Any:
    torch.manual_seed(4)
    return bool(torch.rand(1) < 0.5), _torch(torch.Generator().manual_seed(4))


def global_seeded_twice() -> Any:
    return [bool(torch.rand(1, out=None) < 0.5) for _ in range(2) if torch.manual_seed(4)]


def integers_of_two_libraries() -> Any:
    return [_numpy(np.random.default_rng(seed)) for seed in (3, np.int64(3))]


def integer_and_list() -> Any:
    return [_numpy(np.random.default_rng(seed)) for seed in (3, [3])]


def seed_and_bit_generator() -> Any:
    return _numpy(np.random.default_rng(3)), _numpy(np.random.Generator(np.random.PCG64(3)))


def global_and_random_state() -> Any:
    np.random.seed(3)  # noqa: NPY002 -- the ways of users
    return bool(np.random.rand() < 0.5), bool(np.random.RandomState(3).rand() < 0.5)  # noqa: NPY002


def state_saved() -> Any:
    generator = np.random.default_rng(3)
    state = generator.bit_generator.state
    return _numpy(generator), state is None


def copied() -> Any:
    generator = np.random.default_rng(3)
    return _numpy(copy.deepcopy(generator)), _numpy(generator)


AGAIN = [
    outer_rewound,
    outer_seeded_twice,
    two_of_the_default_seed,
    cloned,
    global_and_own,
    global_seeded_twice,
    integers_of_two_libraries,
    integer_and_list,
    seed_and_bit_generator,
    global_and_random_state,
    state_saved,
    copied,
]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", AGAIN)
def test_it_is_refused(sampler: Callable[[], Any]) -> None:
    with pytest.raises(CannotEnumerate, match="noise that comes again"):
        exact_law(sampler)


def outer_that_goes_on() -> Any:
    return _torch(OUTER.manual_seed(3)), _torch(OUTER), _torch(OTHER)


def different_seeds() -> Any:
    return [_torch(torch.Generator().manual_seed(seed)) for seed in (1, 2)] + [_numpy(np.random.default_rng(1))]


def everything_seeded() -> Any:
    """As programs begin; only one of the generators is drawn from."""
    for seed in (torch.manual_seed, torch.cuda.manual_seed_all, np.random.seed, random.seed):
        seed(7)
    generator = torch.Generator().manual_seed(7)
    return [_torch(generator) for _ in range(3)]


def spawned() -> Any:
    return [_numpy(np.random.default_rng(child)) for child in np.random.SeedSequence(3).spawn(3)]


@pytest.mark.parametrize("sampler", [outer_that_goes_on, different_seeds, everything_seeded, spawned])
def test_new_noise_is_not(sampler: Callable[[], Any]) -> None:
    """The twins; and generators of the caller have the state that they had."""
    before = [generator.get_state() for generator in (OUTER, OTHER)]
    law = exact_law(sampler)
    assert len(law.probabilities) == 8
    assert all(p == pytest.approx(1 / 8) for p in law.probabilities.values())
    assert all(torch.equal(a, g.get_state()) for a, g in zip(before, (OUTER, OTHER), strict=True))


@pytest.mark.slow
def test_expanded_draws_are_the_same_draws() -> None:
    def sampler() -> Any:
        accepted = torch.rand(2, 1) < 0.25
        token = torch.multinomial(torch.tensor([0.5, 0.5]), 1)
        return torch.where(accepted.expand(2, 3), 1, torch.zeros(2, 3)).long(), token.expand(2).tolist()

    law = exact_law(sampler)
    assert len(law.probabilities) == 8
    assert max(law.probabilities.values()) == pytest.approx(0.75**2 / 2)


@pytest.mark.slow
def test_settled_tokens_can_be_copied_deeply() -> None:
    law = exact_law(lambda: copy.deepcopy(torch.multinomial(torch.tensor([0.25, 0.75]), 1)))
    assert law[(1,)] == 0.75


@pytest.mark.slow
def test_a_source_that_is_not_intercepted_is_seen_where_it_is_the_only_one() -> None:
    """The method of a generator, stored by itself: below 0.6 three times, then above."""
    draw = random.Random(3).random
    with pytest.raises(CannotEnumerate, match="does not repeat itself"):
        exact_law(lambda: draw() < 0.6)


@pytest.mark.slow
def test_what_is_certain_is_certain() -> None:
    """The twin."""
    assert exact_law(lambda: 3)[3] == 1


def test_a_generator_outside_is_found_though_the_collector_looks_away() -> None:
    """After ``gc.freeze`` what was there before is out of the collector's sight, the shared generator of NumPy too."""
    outside = np.random.default_rng(3)

    def sampler() -> Any:
        return _numpy(outside)

    before = outside.bit_generator.state
    assert exact_law(sampler).probabilities == {False: 0.5, True: 0.5}
    assert outside.bit_generator.state == before


class Keeper:
    """A sampler that holds its generator in a container of an attribute."""

    def __init__(self, generator: torch.Generator) -> None:
        self.held = {"generators": [generator]}

    def __call__(self) -> bool:
        return _seeded_first(self.held["generators"][0])


def _seeded_first(generator: torch.Generator) -> bool:
    generator.manual_seed(7)
    return bool(torch.rand((), generator=generator) < 0.5)


def _in_a_default(generator: torch.Generator) -> Callable[[], bool]:
    def sampler(own: torch.Generator = generator) -> bool:
        return _seeded_first(own)

    return sampler


HELD: dict[str, Callable[[torch.Generator], Callable[[], bool]]] = {
    "closure": lambda generator: lambda: _seeded_first(generator),
    "attribute": Keeper,
    "argument": lambda generator: partial(_seeded_first, generator),
    "default": _in_a_default,
    "method": lambda generator: Keeper(generator).__call__,
}


@pytest.mark.parametrize("where", HELD)
def test_a_generator_that_is_seeded_before_the_first_draw_is_given_back(where: str) -> None:
    """PyTorch's, which no module holds."""
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    assert exact_law(HELD[where](generator)).probabilities == {False: 0.5, True: 0.5}
    assert torch.equal(generator.get_state(), before)
