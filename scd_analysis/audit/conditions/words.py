"""What the files of the conditions share: bets on accept flags, and when an explanation says something of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from scd_analysis.audit.bets import Bet, Seen, Standing
from scd_analysis.evidence.batch import Batch, Floats


def signed(batch: Batch) -> Floats:
    """1 for what is accepted, -1 for what is rejected."""
    return np.broadcast_to(np.array([-1.0, 1.0]), batch.target_probs.shape)


def too_often(name: str, where: str, times: Seen | None = None, because: str = "", **more: Any) -> Bet:
    """A bet that drafts are accepted too often somewhere."""
    often, rarely = f"drafts are accepted too often {where}{because}", f"drafts are accepted too rarely {where}"
    return Bet(name, often, rarely, signed, times=times, **more)


def variates_are_hidden(standing: Standing) -> bool:
    """Whether accept flags do not just follow recorded variates, which could be looked at themselves."""
    return not standing.flags_follow_variates


def flags_are_unexplained(standing: Standing) -> bool:
    """Whether there is no recorded variate that accept flags fail to follow: where there is, the flags are wrong."""
    return standing.flags_follow_variates or not standing.flags_compared
