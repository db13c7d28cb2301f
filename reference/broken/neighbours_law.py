"""The declared laws are not moved with the window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reference.broken.fault import Fault
from reference.drafting import DrawnFrom
from reference.draws import Purpose
from reference.plain import PlainDecoder, Slot, Verdict, Window
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class NeighboursLaw(DrawnFrom):
    """Draw from p, declare the law of the slot before: an array of laws that lags its tokens by one."""

    def laws(self, target_probs: Tensor, previous_probs: Tensor | None) -> tuple[Tensor, Tensor]:
        """See :class:`reference.drafting.DrawnFrom`."""
        return target_probs, torch.cat([target_probs[..., :1, :], target_probs[..., :-1, :]], dim=-2)


class Plain(PlainDecoder):
    """The same, one slot."""

    def _redraft(self, window: Window, i: int, verdict: Verdict, draws: Any) -> Slot:
        target = window.targets[i]
        return Slot(draws.categorical(window.key(Purpose.DRAFT, i), target), window.targets[max(i - 1, 0)], target)


FAULT = Fault(
    name="neighbours-law",
    condition=Condition.DECLARED_LAW,
    summary="the law declared for a draft is that of the position before, as when the window moves and the laws do not",
    source="one slip away",
    drafting=NeighboursLaw(),
    plain=Plain,
)
