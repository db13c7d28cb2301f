"""Seeds of requests, one of its own for every sequence."""

from __future__ import annotations

import math

import numpy as np

SEEDS = 2**32 - 1
"""Seeds that every server takes; llama.cpp's reads the one after them as "any"."""


def request_seeds(seed: int, num_requests: int, choices: int, seeds: int = SEEDS) -> list[int]:
    """Return the seeds of requests, at least ``choices`` apart: an engine gives choice i of a request the seed s + i.

    Parameters
    ----------
    seed : int
        Of the batch.
    num_requests, choices : int
    seeds : int
        How many there are, from zero.
    """
    slots = seeds // choices
    rng = np.random.default_rng(seed)
    offset, stride = (int(x) for x in rng.integers(1, slots, size=2))
    while math.gcd(stride, slots) > 1:
        stride += 1
    return [(offset + stride * i) % slots * choices for i in range(num_requests)]
