"""The generator against its published vectors, and the two ways to draw from a law."""

import numpy as np
import pytest
import torch

from reference.draws import Purpose, exponentials, inverse_cdf, uniform_pair, uniform_pairs
from reference.fast.philox import philox
from tests.statistics import assert_same_law, ledger

# Random123's known answers: counter, key, output.
KNOWN = [
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, 0xFFFFFFFFFFFFFFFF, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "seed", "expected"), KNOWN)
def test_philox_known_answers(counter, seed, expected):
    words = philox(tuple(torch.tensor(c) for c in counter), seed)
    assert tuple(int(w) for w in words) == expected


def test_draws_depend_on_every_part_of_their_key():
    def draw(seed=0, purpose=Purpose.VERIFY, sequence=0, position=0, iteration=0):
        pair = uniform_pair(seed, purpose, torch.tensor(sequence), torch.tensor(position), iteration)
        return tuple(float(u) for u in pair)

    base = draw()
    others = [draw(seed=1), draw(purpose=Purpose.DRAFT), draw(sequence=1), draw(position=1), draw(iteration=1)]
    assert len({base, *others}) == 6
    assert base == draw()
    assert base[0] != base[1]


RATE = ledger("draws: uniform histogram", 1e-7, power=0.999, resolution=0.01)


def test_uniforms_are_uniform_and_below_one():
    first, second = uniform_pair(3, Purpose.VERIFY, torch.arange(1000)[:, None], torch.arange(100), 0)
    for u in (first, second):
        assert 0 <= float(u.min())
        assert float(u.max()) < 1
        counts = torch.histc(u, bins=50, min=0, max=1).numpy().astype(np.int64)
        assert_same_law(counts, np.full(50, 1 / 50), false_fail_rate=RATE / 2)


def test_race_noise_is_the_same_at_every_iteration_and_batch():
    whole = exponentials(5, torch.arange(4)[:, None], torch.arange(6), 10, torch.float64)
    part = exponentials(5, torch.tensor([[2]]), torch.tensor([4]), 10, torch.float64)
    assert torch.equal(whole[2:3, 4:5], part)
    assert (whole > 0).all()


RACE_RATE = ledger("draws: winners of a race", 2e-7, power=0.999, resolution=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_race_draws_from_the_law(dtype):
    law = torch.tensor([0.6, 0.25, 0.1, 0.05, 0.0], dtype=dtype)
    noise = exponentials(1, torch.arange(100_000), torch.tensor(0), 5, dtype)
    winners = (law / noise).argmax(-1)
    assert_same_law(np.bincount(winners, minlength=5), law.double().numpy(), false_fail_rate=RACE_RATE / 2)


def test_inverse_cdf_never_lands_on_weight_zero():
    """Zeros at both ends and inside; variates at 0, just below 1, and at the jumps."""
    weights = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    variates = torch.tensor([0.0, 0.25 - 2**-53, 0.25, 0.5, 0.75, 1 - 2**-53], dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        index = inverse_cdf(weights.to(dtype).expand(6, -1), variates)
        assert (weights[index] > 0).all()
    assert index.tolist() == [1, 1, 3, 3, 4, 4]


@pytest.mark.parametrize("total", [1.0, 0.1 + 0.2, 1 / 3, 1e-30, 7.0])
def test_inverse_cdf_at_the_last_representable_variate(total):
    for dtype in (torch.float32, torch.float64):
        weights = torch.tensor([0.5, 0.5, 0.0], dtype=dtype) * total
        assert int(inverse_cdf(weights, torch.tensor(1 - 2**-53, dtype=torch.float64))) == 1


def test_several_purposes_at_once_draw_what_each_draws_alone():
    """Three sequences and three purposes: a purpose must not be taken for a sequence."""
    purposes = (Purpose.VERIFY, Purpose.DRAFT, Purpose.BONUS)
    where = torch.arange(3)[:, None], torch.arange(5), 7
    alone = [uniform_pair(11, purpose, *where) for purpose in purposes]
    for pair, expected in zip(uniform_pairs(11, purposes, *where), alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(pair, expected, strict=True))
    assert not torch.equal(alone[0][0], alone[1][0])
