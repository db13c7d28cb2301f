"""Laws are made in half precision from large logits."""

from __future__ import annotations

import torch
from torch import Tensor

from reference.broken.altered import Altered
from reference.broken.fault import Fault
from reference.methods import get_method
from reference.models.base import TargetModel
from scd_analysis.conditions import Condition

OFFSET = 20.0
"""Logits are known up to a constant; around 20, bfloat16 has steps of 1/8."""


def round_logits(model: TargetModel, tokens: Tensor, laws: Tensor) -> Tensor:
    """Logits in bfloat16, softmax in the type of the laws."""
    logits = laws.clamp(min=torch.finfo(laws.dtype).tiny).log() + OFFSET
    return logits.bfloat16().to(laws.dtype).softmax(-1).masked_fill(laws == 0, 0.0)


FAULT = Fault(
    name="half-precision",
    condition=Condition.TARGET,
    summary="logits of about 20 are held in bfloat16, whose steps there are 1/8 of a nat",
    source="seen in released code: logits left in the precision of the network",
    of=get_method("scd-gs"),
    corrupt=lambda model: Altered(model, round_logits),
)
