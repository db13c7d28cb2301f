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
    return {
        "n": found.n,
        "mean_nfe": found.value,
        "mean_nfe_low": found.low,
        "mean_nfe_high": found.high,
        "speedup": num_tokens / found.value,
        "speedup_low": num_tokens / found.high,
        "speedup_high": num_tokens / found.low,
    }


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
