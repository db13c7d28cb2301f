"""Drafts are the most probable token, but are declared as drawn from the law."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from reference.broken.fault import Fault
from reference.drafting import DrawnFrom
from reference.models.processors import Processors
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class ArgmaxDraft(DrawnFrom):
    """The point mass on the most probable token, declared as p."""

    def laws(self, target_probs: Tensor, previous_probs: Tensor | None) -> tuple[Tensor, Tensor]:
        """See :class:`reference.drafting.DrawnFrom`."""
        return Processors(temperature=0)(target_probs), target_probs


FAULT = Fault(
    name="argmax-draft",
    condition=Condition.DECLARED_LAW,
    summary="drafts are the most probable token while their law is declared to be the softmax",
    source="transformers 4.44.2, assisted generation with sampling",
    drafting=ArgmaxDraft(),
)
