"""The residual is taken of logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class ResidualOfLogits(PositionRule):
    """The replacement is proportional to ``(ln p - ln q)+``."""

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        rise = (target_probs.clamp(min=1e-9).log() - draft_probs.clamp(min=1e-9).log()).clamp(min=0)
        return torch.where(rise.sum(-1, keepdim=True) > 0, rise, target_probs)


FAULT = Fault(
    name="residual-of-logits",
    condition=Condition.VERIFICATION,
    summary="the residual is the positive part of a difference of logits instead of probabilities",
    source="one slip away",
    verification=ResidualOfLogits(),
)
