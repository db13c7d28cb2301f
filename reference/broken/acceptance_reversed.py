"""Drafts are accepted with probability min(1, q/p)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class AcceptanceReversed(PositionRule):
    """Draft and target change places in the ratio."""

    def acceptance(self, target_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        return super().acceptance(draft_probs, target_probs)


FAULT = Fault(
    name="acceptance-reversed",
    condition=Condition.VERIFICATION,
    summary="drafts are accepted with probability min(1, q/p): draft and target have changed places",
    source="one slip away: papers differ in which of the two is p",
    verification=AcceptanceReversed(),
)
