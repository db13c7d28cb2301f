"""A rejected draft is replaced by a draw from the target."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class ReplaceFromTarget(PositionRule):
    """The replacement is p; the output is ``min(p, q) + TV p``."""

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        return target_probs


FAULT = Fault(
    name="residual-from-target",
    condition=Condition.VERIFICATION,
    summary="a rejected draft is replaced by a draw from p instead of (p - q)+",
    source="seen in released samplers",
    verification=ReplaceFromTarget(),
)
