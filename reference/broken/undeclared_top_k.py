"""Drafts are drawn from the likelier half of the law that is declared."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.drafting import DrawnFrom
from reference.models.processors import Processors
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class UndeclaredTopK(DrawnFrom):
    """Draw from the upper half of the vocabulary by probability and declare the whole law."""

    def laws(self, target_probs: Tensor, previous_probs: Tensor | None) -> tuple[Tensor, Tensor]:
        """See :class:`reference.drafting.DrawnFrom`."""
        kept = (target_probs.shape[-1] + 1) // 2
        return Processors(top_k=kept)(target_probs), target_probs


FAULT = Fault(
    name="undeclared-top-k",
    condition=Condition.DECLARED_LAW,
    summary="drafts are drawn after a top-k that the declared law does not have",
    source="one slip away: raw logits declared, drafts drawn from the processed ones",
    drafting=UndeclaredTopK(),
)
