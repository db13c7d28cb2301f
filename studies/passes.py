"""Passes of a decoder under one setting, as a row of a result: what every sweep measures."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference import Method, decode
from reference.models.base import TargetModel
from scd_analysis.trace.trajectories import mean_interval


def speedup_row(nfe: np.ndarray, num_tokens: int) -> dict[str, Any]:
    """Mean passes and speed-up over one token a pass, each with its 95% interval over sequences."""
    found = mean_interval(nfe.astype(np.float64))
    return {"n": found.n, **gains(found.value, found.low, found.high, num_tokens)}


def gains(mean_nfe: float, low: float, high: float, num_tokens: int) -> dict[str, float]:
    """Mean passes and the speed-up over one token a pass."""
    speedup = with_ends("speedup", num_tokens / mean_nfe, num_tokens / high, num_tokens / low)
    return with_ends("mean_nfe", mean_nfe, low, high) | speedup


def with_ends(name: str, value: float, low: float, high: float) -> dict[str, float]:
    """Columns of a number and of the ends of its interval."""
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def passes_and_entropy(
    model: TargetModel, method: str | Method, window: int, num_sequences: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Passes, and mean entropy in nats of the laws that tokens were committed from; one of each a sequence."""
    trace = decode(model, method, window, num_sequences, seed, progress=False).trace
    assert trace is not None
    entropy = trace["entropy"].where(trace["committed"] == 1).mean(("iteration", "slot"))
    return trace["nfe"].values.astype(np.float64), entropy.values.astype(np.float64)


def stratified(parts: list[np.ndarray]) -> tuple[float, float, float]:
    """Mean of the means of several groups of one size, with its 95% interval: only the spread within groups counts.

    References
    ----------
    Cochran: Sampling techniques, 3rd edition, 1977, section 5.4.
    """
    mean = float(np.mean([part.mean() for part in parts]))
    centred = np.concatenate([part - part.mean() for part in parts])
    degrees = centred.size - len(parts)
    spread = mean_interval(centred * np.sqrt((centred.size - 1) / degrees))
    return mean, mean + spread.low, mean + spread.high
