"""Coarse variates and <= for <: a draft of probability zero can be accepted."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.models.tabular import TabularModel
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class ZeroAccepted(PositionRule):
    """Variates are multiples of 1/256 and compared by ``u <= p/q``: acceptance ``(floor(256 p/q) + 1) / 256``."""

    def acceptance(self, target_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        ratio = super().acceptance(target_probs, draft_probs)
        return ((ratio * 256).floor() + 1).clamp(max=256) / 256


def model_with_zeros() -> TabularModel:
    """A model that forbids some tokens, as top-k and top-p do."""
    return TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0, zeros=0.25)


FAULT = Fault(
    name="zero-accepted",
    condition=Condition.VERIFICATION,
    summary="variates of 8 bits are compared by <= instead of <, so that forbidden drafts are sometimes accepted",
    source="half-precision variates; one slip away",
    verification=ZeroAccepted(),
    model=model_with_zeros,
)
