"""Two sequences of a batch are drawn from one seed."""

from __future__ import annotations

import torch

from reference.broken.fault import Fault
from reference.decoder import DecodeOutput, decode
from reference.methods import get_method
from reference.models.base import TargetModel
from scd_analysis.conditions import Condition


def run(
    fault: Fault, model: TargetModel, window: int, num_sequences: int, seed: int, record: str | None
) -> DecodeOutput:
    """Decode half as many and hand out each twice."""
    half = decode(model, fault.method, window, -(-num_sequences // 2), seed, record, progress=False)
    twice = torch.arange(num_sequences) // 2
    trace = None if half.trace is None else half.trace.isel(sequence=twice.numpy())
    return DecodeOutput(half.tokens[twice], half.nfe[twice], trace, half.method)


FAULT = Fault(
    name="one-seed-for-two",
    condition=Condition.INDEPENDENCE,
    summary="every two sequences share a seed: each alone has the right law, together they do not",
    source="seen in evaluation scripts",
    of=get_method("scd-mc"),
    run=run,
)
