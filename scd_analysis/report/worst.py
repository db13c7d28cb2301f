"""Positions whose drafts fail most: what a trace says of every position at the pass that committed it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from scd_analysis.audit.commits import SCALARS, read_commits


def by_position(trace: xr.Dataset, chunk: int = 64) -> pd.DataFrame:
    """Rejections and total variation of every position, over the sequences in which a draft was verified there.

    Parameters
    ----------
    trace : xarray.Dataset
        Of any decoder.
    chunk : int
        Sequences read at a time.

    Returns
    -------
    DataFrame
        ``position``, ``drafts`` (verified at the commit), ``rejected`` (share of them), and ``total_variation`` (mean
        between draft law and target law, NaN where laws were not known): what a lossless decoder rejects on average.
    """
    length = trace.sizes["position"]
    sums = np.zeros((4, length))
    slim = trace[[*SCALARS, "tokens"]]
    for start in range(0, trace.sizes["sequence"], chunk):
        commits = read_commits(slim.isel(sequence=slice(start, start + chunk)))
        variation = np.full(commits.final.shape, np.nan)
        if commits.scalars is not None:
            variation = np.where(commits.drafted, commits.scalars.total_variation, np.nan)
        known = ~np.isnan(variation)
        sums += [each.sum(0) for each in (commits.drafted, commits.rejected, np.nan_to_num(variation), known)]
    drafts, rejected, variation, known = sums
    with np.errstate(invalid="ignore"):
        frame = pd.DataFrame(
            {
                "position": np.arange(length),
                "drafts": drafts.astype(np.int64),
                "rejected": rejected / drafts,
                "total_variation": variation / known,
            }
        )
    return frame[frame["drafts"] > 0]


def worst(frame: pd.DataFrame, most: int = 8) -> pd.DataFrame:
    """The positions with the largest share of rejections; ties go to the larger total variation."""
    ranked = frame.sort_values(["rejected", "total_variation", "position"], ascending=[False, False, True])
    return ranked.head(most)
