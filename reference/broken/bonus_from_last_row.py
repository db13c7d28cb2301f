"""The bonus token is drawn from the window's last row instead of the one after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from reference.broken.fault import Fault
from reference.drafting import Maximal
from reference.plain import PlainDecoder, Window
from reference.plain_forms import Law
from reference.verification import ModifiedRejection
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class RepeatedRow(ModifiedRejection):
    """MRS with the wrong bonus."""

    def bonus_probs(self, probs: Tensor) -> Tensor:
        """The law of the last verified position, once more."""
        return probs[:, -2]


class Plain(PlainDecoder):
    """The same, one sequence."""

    def _bonus_law(self, prefix: tuple[int, ...], window: Window, draws: Any) -> Law:
        return window.targets[-1]


FAULT = Fault(
    name="bonus-from-last-row",
    condition=Condition.VERIFICATION,
    summary="the bonus token after a window that was accepted whole is drawn from the last row, not the one after it",
    source="one slip away",
    drafting=Maximal(),
    verification=RepeatedRow(),
    plain=Plain,
)
