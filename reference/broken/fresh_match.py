"""A draft is accepted if it equals a fresh sample; otherwise another fresh sample is taken."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class FreshMatch(PositionRule):
    """Acceptance p(x), replacement p."""

    def acceptance(self, target_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        return target_probs

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        return target_probs


FAULT = Fault(
    name="fresh-match",
    condition=Condition.VERIFICATION,
    summary="a draft is accepted iff it equals a fresh draw from p, and is otherwise replaced by another fresh draw",
    source="seen in released code; replaced by the same fresh draw it would be exact",
    verification=FreshMatch(),
)
