"""The residual is floored before it is normalised."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition
from scd_analysis.laws.kernels import RESIDUAL_FLOOR


@dataclass(frozen=True)
class ResidualFloored(PositionRule):
    """The replacement is ``(p - q)+`` with every entry at least :data:`scd_analysis.laws.kernels.RESIDUAL_FLOOR`."""

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        return (target_probs - draft_probs).clamp(min=RESIDUAL_FLOOR)


FAULT = Fault(
    name="residual-floored",
    condition=Condition.VERIFICATION,
    summary="the residual is clamped to a small positive floor before it is normalised",
    source="seen in released samplers, with smaller floors",
    verification=ResidualFloored(),
)
