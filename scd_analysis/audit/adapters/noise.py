"""Seeds for code that draws from global generators: they are set for the call, and put back after it."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Lend the global generators of torch (all devices), numpy and random a state made from a seed."""
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        random.setstate(random.Random(seed).getstate())
        stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 -- other people's code uses it
        np.random.set_state(np.random.RandomState(seed).get_state())  # noqa: NPY002
        torch = sys.modules.get("torch")
        if torch is not None:
            _lend_torch(torch, seed, stack)
        yield


def _lend_torch(torch: Any, seed: int, stack: ExitStack) -> None:
    stack.callback(torch.set_rng_state, torch.get_rng_state())
    torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            place = torch.device("cuda", index)
            stack.callback(torch.cuda.set_rng_state, torch.cuda.get_rng_state(place), place)
            torch.cuda.set_rng_state(torch.Generator(place).manual_seed(seed).get_state(), place)
