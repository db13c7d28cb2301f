"""The residual is searched as if it summed to one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class ResidualUnnormalised(PositionRule):
    """What ``(p - q)+`` lacks of one falls on the last token."""

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        excess = (target_probs - draft_probs).clamp(min=0)
        rest = (1 - excess.sum(-1, keepdim=True)).clamp(min=0)
        return torch.cat([excess[..., :-1], excess[..., -1:] + rest], dim=-1)


FAULT = Fault(
    name="residual-unnormalised",
    condition=Condition.VERIFICATION,
    summary="the residual is sampled by inverse CDF without being normalised, so that the last token takes the rest",
    source="one slip away",
    verification=ResidualUnnormalised(),
)
