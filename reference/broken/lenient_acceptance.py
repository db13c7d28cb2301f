"""Drafts are accepted more willingly than min(1, p/q)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.drafting import Maximal
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class LenientAcceptance(PositionRule):
    """Acceptance ``min(1, sqrt(p/q))``; the residual is that of MRS."""

    def acceptance(self, target_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        return super().acceptance(target_probs, draft_probs).sqrt()


FAULT = Fault(
    name="lenient-acceptance",
    condition=Condition.VERIFICATION,
    summary="drafts are accepted with probability min(1, p/q) to the power 0.5",
    source="a typical relaxation",
    drafting=Maximal(),
    verification=LenientAcceptance(),
)
