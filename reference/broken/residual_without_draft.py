"""Every rejection is replaced as if the draft had been a point mass."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class ResidualWithoutDraft(PositionRule):
    """The replacement is p without the draft, whatever q was."""

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        return target_probs.scatter(-1, draft_token[..., None], 0.0) + 1e-300


FAULT = Fault(
    name="residual-without-draft",
    condition=Condition.VERIFICATION,
    summary="the residual is p with the draft's own entry struck out, which is right for point masses only",
    source="one slip away: the rule of initial drafts used for all",
    verification=ResidualWithoutDraft(),
)
