"""A trace in a dozen numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from scd_analysis.trace import trajectories
from scd_analysis.trace.compact import form_of


def summarise(trace: xr.Dataset) -> dict[str, Any]:
    """What a trace says of its decoder.

    Parameters
    ----------
    trace : xarray.Dataset
        As :func:`scd_analysis.trace.open_trace` gives it.

    Returns
    -------
    dict
        Settings, mean passes with the speed-up and its 95% interval, the form of stored laws with the error that it
        causes, acceptance, and distances between drafts; a quantity that the trace does not hold is None.
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
    summary |= _laws(trace)
    summary["acceptance_rate"] = _mean_of(trace, "accepted")
    summary["mean_total_variation"] = _mean_of(trace, "total_variation")
    for lag in (1, 2, 3):
        summary[f"hamming_lag_{lag}"] = _mean(trajectories.hamming_distance(trace, lag))
    summary["draft_changes_per_token"] = _mean(trajectories.instability(trace))
    return summary


def _laws(trace: xr.Dataset) -> dict[str, Any]:
    """In which form laws are stored, if they are, and how far that is from what they were."""
    found: dict[str, Any] = {} if form_of(trace) == "none" else {"laws": form_of(trace)}
    stated = [one for one in trace.attrs.get("law_error", {}).values() if one["laws"]]
    if found and stated:
        count = sum(one["laws"] for one in stated)
        found["law_error_max"] = max(one["max"] for one in stated)
        found["law_error_mean"] = sum(one["mean"] * one["laws"] for one in stated) / count
    return found


def _mean_of(trace: xr.Dataset, name: str) -> float | None:
    """Mean over all slots in use, a few sequences at a time."""
    total, count = 0.0, 0
    for part in trajectories.read(trace, (name,)):
        used = ~np.isnan(part[name])
        total, count = total + float(part[name][used].sum(dtype=np.float64)), count + int(used.sum())
    return total / count if count else None


def _mean(values: np.ndarray[Any, Any]) -> float | None:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if kept.size else None
