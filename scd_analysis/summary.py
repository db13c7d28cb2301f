"""A trace in a dozen numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from scd_analysis import trajectories


def summarise(trace: xr.Dataset) -> dict[str, Any]:
    """What a trace says of its decoder.

    Parameters
    ----------
    trace : xarray.Dataset
        As :func:`scd_analysis.trace.open_trace` gives it.

    Returns
    -------
    dict
        Settings, mean passes with the speed-up and its 95% interval, acceptance, and distances between drafts; a
        quantity that the trace does not hold is None.
    """
    attributes = trace.attrs
    summary: dict[str, Any] = {
        name: attributes.get(name) for name in ("decoder", "method", "model", "window", "seed", "device", "complete")
    }
    summary |= {"num_sequences": trace.sizes["sequence"], "num_tokens": trace.sizes["position"]}
    summary |= {"iterations": trace.sizes["iteration"]}
    if not trace.sizes["sequence"]:
        return summary
    if bool(trace["nfe"].notnull().any()):
        gain = trajectories.speedup(trace)
        summary |= {"mean_nfe": float(trace["nfe"].mean()), "speedup": gain.value}
        summary |= {"speedup_low": gain.low, "speedup_high": gain.high}
    summary["acceptance_rate"] = _mean(trace["accepted"].values)
    summary["mean_total_variation"] = _mean(trace["total_variation"].values)
    for lag in (1, 2, 3):
        summary[f"hamming_lag_{lag}"] = _mean(trajectories.hamming_distance(trace, lag))
    summary["draft_changes_per_token"] = _mean(trajectories.instability(trace))
    return summary


def _mean(values: np.ndarray[Any, Any]) -> float | None:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if kept.size else None
