"""Target: the law verified against is the model's conditional on the final prefix."""

from __future__ import annotations

import numpy as np

from scd_analysis.audit.bets import Process
from scd_analysis.audit.checks import Check, Found, Recorded, own
from scd_analysis.conditions import Condition


def _differs(recorded: Recorded) -> Found | None:
    commits, model_probs = recorded.commits, recorded.model_probs
    if model_probs is None:
        return None
    known = commits.drafted & ~np.isnan(commits.target_prob) & ~recorded.committed_beyond  # that is an error of its own
    gap = np.abs(own(model_probs, np.maximum(commits.draft, 0)) - commits.target_prob)
    largest, size = np.where(known, gap, 0), None
    if commits.target_probs is not None:
        gaps = np.abs(np.where(known[..., None], commits.target_probs - model_probs, 0))
        largest, size = np.maximum(largest, gaps.max(axis=-1)), float(gaps.sum() / 2 / max(known.sum(), 1))
    return Found(largest > recorded.tolerance, known, size=size)


DIFFERS = Check(
    "target-differs",
    Condition.TARGET,
    "the law verified against is not the model's law given the finished sequence",
    1,
    _differs,
)

CHECKS = (DIFFERS,)
PROCESSES: tuple[Process, ...] = ()
"""None: laws are compared, and not estimated."""
