"""Drafts are drawn from a sharper law than the one declared."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.drafting import DrawnFrom
from reference.models.processors import Processors
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class UndeclaredTemperature(DrawnFrom):
    """Draw at a temperature of 0.7 and declare the law before it."""

    def laws(self, target_probs: Tensor, previous_probs: Tensor | None) -> tuple[Tensor, Tensor]:
        """See :class:`reference.drafting.DrawnFrom`."""
        return Processors(temperature=0.7)(target_probs), target_probs


FAULT = Fault(
    name="undeclared-temperature",
    condition=Condition.DECLARED_LAW,
    summary="drafts are drawn at a lower temperature than the law declared for them",
    source="one slip away: logits declared before the processors, drafts drawn after",
    drafting=UndeclaredTemperature(),
)
