"""The unconditional branch of guidance is left out."""

from __future__ import annotations

from reference.broken.fault import Fault
from reference.methods import get_method
from reference.models.base import TargetModel
from reference.models.processors import GuidedModel
from reference.models.tabular import TabularModel
from scd_analysis.conditions import Condition


def guided_model() -> GuidedModel:
    """Two small tables and a guidance scale of 1.5."""
    conditional, unconditional = (TabularModel.random(3, 4, 0.7, seed=seed) for seed in (0, 1))
    return GuidedModel(conditional, unconditional, 1.5)


def conditional_only(model: TargetModel) -> TargetModel:
    """The conditional branch; a model without guidance stays as it is."""
    return model.conditional if isinstance(model, GuidedModel) else model


FAULT = Fault(
    name="guidance-dropped",
    condition=Condition.TARGET,
    summary="drafts are verified against the conditional law, without the guidance that belongs to the target",
    source="seen in released code",
    of=get_method("sjd"),
    corrupt=conditional_only,
    model=guided_model,
)
