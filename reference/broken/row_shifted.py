"""The law of a token is read one row too early."""

from __future__ import annotations

import torch
from torch import Tensor

from reference.broken.altered import Altered
from reference.broken.fault import Fault
from reference.methods import get_method
from reference.models.base import TargetModel
from scd_analysis.conditions import Condition


def shift(model: TargetModel, tokens: Tensor, laws: Tensor) -> Tensor:
    """Row k becomes row k - 1 in the second half of the sequence."""
    first = max(1, model.num_tokens // 2)
    return torch.cat([laws[:, :first], laws[:, first - 1 : -1]], dim=1) if laws.shape[1] > first else laws


FAULT = Fault(
    name="row-shifted",
    condition=Condition.TARGET,
    summary="from the middle of the sequence on, the law of a token is that of the position before it",
    source="seen in released code: logits shifted by one",
    of=get_method("scd-mc"),
    corrupt=lambda model: Altered(model, shift),
)
