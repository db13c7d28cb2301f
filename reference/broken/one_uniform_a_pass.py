"""All positions of a pass are verified with one variate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reference.broken.fault import Fault
from reference.draws import Purpose
from reference.plain import PlainDecoder, Window
from reference.verification import Check, ModifiedRejection, Verification, verify
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class OneVariateAPass(ModifiedRejection):
    """MRS with the first slot's variate for all."""

    def verify(self, check: Check) -> Verification:
        """Share the variate."""
        shared = check.uniform[:, :1].expand_as(check.uniform)
        return verify(*check[:3], shared, check.residual_uniform)


class Plain(PlainDecoder):
    """The same, one sequence."""

    def _verify(self, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        slot, target = window.slots[i], window.targets[i]
        uniform = draws.uniform(window.key(Purpose.VERIFY, 0))
        if uniform * slot.law[slot.token] < target[slot.token]:
            return slot.token, True
        return draws.residual(window.key("residual", i), target, slot.law), False


FAULT = Fault(
    name="one-uniform-a-pass",
    condition=Condition.INDEPENDENCE,
    summary="one acceptance variate serves every position of a pass",
    source="one slip away: a variate of shape [B] broadcast over the window",
    verification=OneVariateAPass(),
    plain=Plain,
)
