"""The residual is (q - p)+."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class ResidualReversed(PositionRule):
    """Draft and target change places: what had too much is drawn again."""

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        excess = (draft_probs - target_probs).clamp(min=0)
        return torch.where(excess.sum(-1, keepdim=True) > 0, excess, target_probs)


FAULT = Fault(
    name="residual-reversed",
    condition=Condition.VERIFICATION,
    summary="the residual is (q - p)+: draft and target have changed places",
    source="one slip away: papers differ in which of the two is p",
    verification=ResidualReversed(),
)
