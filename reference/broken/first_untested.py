"""The first draft of the window is committed without a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reference.broken.fault import Fault
from reference.plain import PlainDecoder, Window
from reference.verification import MRS, Check, ModifiedRejection, Verification, verify
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class FirstUntested(ModifiedRejection):
    """MRS, but the first slot is accepted unless its draft is an initial one."""

    def verify(self, check: Check) -> Verification:
        """Wave the first slot through."""
        accepted, tokens, uniform, *_ = verify(*check[:5])
        untested = check.age > 0
        untested[:, 1:] = False
        return Verification(accepted | untested, check.draft_token.where(untested, tokens), uniform)


class Plain(PlainDecoder):
    """The same, one slot."""

    def _verify(self, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        slot = window.slots[i]
        if i == 0 and slot.previous is not None:
            return slot.token, True
        return self._verify_by(MRS, window, i, draws)


FAULT = Fault(
    name="first-untested",
    condition=Condition.VERIFICATION,
    summary="the first draft of the window is taken for granted, as if the pass before had verified it",
    source="seen in released samplers",
    verification=FirstUntested(),
    plain=Plain,
)
