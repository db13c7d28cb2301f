"""The residual is taken without its sign."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class ResidualAbsolute(PositionRule):
    """The replacement is ``|p - q|``: tokens that had too much get more."""

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        return (target_probs - draft_probs).abs() + (target_probs == draft_probs).all(-1, keepdim=True)


FAULT = Fault(
    name="residual-absolute",
    condition=Condition.VERIFICATION,
    summary="the residual is |p - q| instead of its positive part",
    source="one slip away: abs for clamp",
    verification=ResidualAbsolute(),
)
