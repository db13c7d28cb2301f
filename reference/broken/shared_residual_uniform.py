"""One variate serves both to reject a draft and to draw its replacement."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from reference.broken.fault import Fault
from reference.draws import Purpose
from reference.plain import PlainDecoder, Window
from reference.plain_forms import floats, tensor
from reference.verification import Check, ModifiedRejection, Verification, residual, verify
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class OneVariate(ModifiedRejection):
    """MRS; after a rejection the variate is large, and so the replacement comes from the end of the vocabulary."""

    def verify(self, check: Check) -> Verification:
        """Use the acceptance variate twice."""
        return verify(*check[:4], check.uniform)


class Plain(PlainDecoder):
    """The same, one slot."""

    def _verify(self, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        slot, target = window.slots[i], window.targets[i]
        uniform = draws.uniform(window.key(Purpose.VERIFY, i))
        if uniform * slot.law[slot.token] < target[slot.token]:
            return slot.token, True
        upto = list(accumulate(floats(residual(tensor(target), tensor(slot.law)))))
        return next(v for v, mass in enumerate(upto) if v == len(upto) - 1 or uniform * upto[-1] < mass), False


FAULT = Fault(
    name="shared-residual-uniform",
    condition=Condition.VERIFICATION,
    summary="the variate that rejects a draft also draws its replacement",
    source="one slip away",
    verification=OneVariate(),
    plain=Plain,
)
