"""Times that can be compared: taken in turns in one run, so that a slow moment of the machine meets all alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def compiling(mode: str) -> Iterator[None]:
    """Set ``SCD_COMPILE`` for a while."""
    before = os.environ.get("SCD_COMPILE")
    os.environ["SCD_COMPILE"] = mode
    try:
        yield
    finally:
        if before is None:
            del os.environ["SCD_COMPILE"]
        else:
            os.environ["SCD_COMPILE"] = before


def finish(device: torch.device | str) -> None:
    """Wait until a device has done what it was given; the host has by itself."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def in_turns(
    functions: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    cached: bool = True,
    budget_s: float = 6.0,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Seconds of every call, function by function, round after round; fewer rounds where they would take too long.

    With ``cached``, each call follows one of the same function, so that its data lie in the cache if they fit.
    """
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    stop = time.perf_counter() + budget_s
    for done in range(rounds):
        for name, function in functions.items():
            if cached:
                function()
            finish(device)
            start = time.perf_counter()
            function()
            finish(device)
            times[name].append(time.perf_counter() - start)
        if done >= 4 and time.perf_counter() > stop:
            break
    return times


def ratios(times: Mapping[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """Median of each, in milliseconds, and as a multiple of ``base`` with the quartiles of the multiple by rounds."""
    out = {}
    for name, seconds in times.items():
        by_round = np.array(seconds) / np.array(times[base])
        low, high = np.quantile(by_round, [0.25, 0.75])
        ratio = float(np.median(seconds) / np.median(times[base]))
        out[name] = {"ms": float(np.median(seconds) * 1e3), "ratio": ratio, "low": float(low), "high": float(high)}
    return out
