"""Ways of comparing, moving and converting variates that real code uses, each with the law it has."""

# ruff: noqa: NPY002 -- other people's code

from __future__ import annotations

import math
import random
from math import log as imported_log
from random import random as imported_random
from typing import Any

import numpy as np
import torch
from numpy.random import default_rng as imported_default_rng
from numpy.random import rand as imported_rand

from tests.exact.idioms import COIN, F64, HALF, QUARTERS, has, u64

outside = np.random.default_rng(7)

# -- comparing, moving, converting ------------------------------------------------------------------------------


@has(COIN)
def scaled_variate() -> Any:
    return bool(u64(1) * 2.0 < 0.6)


@has(COIN)
def one_minus_variate() -> Any:
    return bool(1 - u64(1) >= 0.7)


@has({True: math.exp(-1), False: 1 - math.exp(-1)})
def log_below_constant() -> Any:
    return bool(u64().log() < -1)


@has({True: 1 - math.exp(-2.0), False: math.exp(-2.0)})
def exponential_below_constant() -> Any:
    return bool(torch.empty(()).exponential_(2.0) < 1)


@has(HALF)
def sigmoid_of_logit() -> Any:
    return bool(torch.sigmoid(u64().logit()) < 0.5)


@has(HALF)
def clamped_variate() -> Any:
    return bool((1 - u64()).clamp(min=0.1) < 0.5)


@has({0: 0.3, 1: 0.7})
def sign_of_difference() -> Any:
    return int((u64(1) - 0.3).sign()[0] > 0)


@has(QUARTERS)
def truncated_to_integer() -> Any:
    return (torch.rand(1) * 4).long().item()


@has(QUARTERS)
def python_floor() -> Any:
    return math.floor(random.random() * 4)


@has(COIN)
def item_then_compare() -> Any:
    return u64(1).item() < 0.3


@has(COIN)
def float_then_compare() -> Any:
    return float(u64(1)) < 0.3


@has(COIN)
def numpy_scalar_on_the_left() -> Any:
    return bool(np.float64(0.3) > u64(2)[0].item())


@has(COIN)
def tolist_then_compare() -> Any:
    return u64(2, 2).tolist()[1][0] < 0.3


@has(COIN)
def through_numpy() -> Any:
    return bool(torch.as_tensor(u64(2, 2).numpy())[0, 0] < 0.3)


@has(COIN)
def from_numpy() -> Any:
    return bool(torch.from_numpy(np.random.rand(2))[1] < 0.3)


@has(COIN)
def from_python() -> Any:
    return bool(torch.tensor([random.random(), 1.0], dtype=F64)[0] < 0.3)


@has(COIN)
def stacked_viewed_transposed() -> Any:
    u = torch.cat([torch.stack([u64(), u64()]), torch.ones(1, dtype=F64)])
    return bool(u.view(3, 1).expand(3, 2).t()[1, 0] < 0.3)


@has(COIN)
def gathered() -> Any:
    index = torch.tensor([[1, 0, 2]])[..., None].expand(1, 3, 4)
    return bool(torch.rand(2, 3, 4).gather(1, index).squeeze(0)[2, 3].to(F64) < 0.3)


@has(COIN)
def rolled_flipped_repeated() -> Any:
    return (u64(4).roll(1).flip(0).repeat(2)[3:].reshape(-1)[0] < 0.3).item()


@has(COIN)
def masked() -> Any:
    return bool(u64(4)[torch.tensor([False, True, False, False])].item() < 0.3)


@has(COIN)
def overwritten_in_part() -> Any:
    u = u64(3).masked_fill(torch.tensor([True, False, False]), 2.0)
    u[2] = 0.5
    return (u < 0.3).any().item()


@has(COIN)
def drawn_into_a_view() -> Any:
    buffer = torch.zeros(2, 3, dtype=F64)
    buffer[:, 1].uniform_()
    return (buffer[0, 1] < 0.3).item()


@has(COIN)
def copied_before_overwriting() -> Any:
    u = u64(2)
    kept = u.clone()
    u.fill_(9)
    return (kept[0] < 0.3).item()


@has(COIN)
def in_place_arithmetic() -> Any:
    buffer = torch.zeros(2, 2, dtype=F64)
    buffer.copy_(torch.rand(2, 2))
    buffer.add_(1).mul_(2).sub_(2).div_(2)
    return (buffer[1, 1] < 0.3).item()


@has(COIN)
def out_argument() -> Any:
    buffer = torch.zeros(2, 2, dtype=F64)
    torch.rand(2, 2, out=buffer)
    torch.sub(buffer, 1, out=buffer)
    return (buffer[1, 1] < -0.7).item()


@has(COIN)
def indexed_assignment() -> Any:
    buffer = torch.full((2,), 5.0, dtype=F64)
    buffer[torch.tensor([1])] = u64(1)
    return (buffer < 0.3).any().item()


@has(COIN)
def seeded_and_ignored() -> Any:
    torch.manual_seed(3)
    return bool(torch.rand(1, dtype=F64, generator=torch.Generator().manual_seed(4))[0] < 0.3)


@has(COIN)
def inference_mode() -> Any:
    with torch.inference_mode():
        return bool(u64(1)[0] < 0.3)


@has(COIN)
def threshold_with_gradient() -> Any:
    threshold = torch.tensor(0.3, dtype=F64, requires_grad=True)
    return bool(u64(1) * 2 < threshold * 2)


@has(COIN)
def weighted_sum_of_one() -> Any:
    return bool((u64(4) * torch.tensor([0, 1.0, 0, 0])).sum() < 0.3)


@has(COIN)
def generator_outside() -> Any:
    return isinstance(outside, np.random.Generator) and bool(outside.random(2)[0] < 0.3)


@has(COIN)
def generator_imported() -> Any:
    return bool(imported_default_rng().uniform(0, 10) < 3)


@has(COIN)
def legacy_imported() -> Any:
    return bool(imported_rand() < 0.3)


@has(COIN)
def legacy_instance() -> Any:
    return bool(np.random.RandomState(3).rand() < 0.3)


@has(HALF)
def python_imported() -> Any:
    return imported_log(imported_random()) < imported_log(0.5)


@has({True: float(np.float32(0.3)), False: 1 - float(np.float32(0.3))})
def float32_threshold() -> Any:
    return bool(torch.rand(1) < torch.tensor([0.3]))


@has({True: 1.0})
def repeated_comparisons_agree() -> Any:
    u = u64(1)
    return bool(u < 0.5) == bool(2 * u < 1) == bool(1 - u > 0.5)


@has({True: 1.0})
def a_uniform_is_never_negative() -> Any:
    u = u64(1)
    return bool((u >= 0) & (u < 1) & ~(u < 0) & ~(u <= 0))
