"""Two neighbouring positions share one vector of Gumbel noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from reference.broken.fault import Fault
from reference.drafting import Draft, Sweep
from reference.draws import Purpose
from reference.plain import PlainDecoder, Slot, Verdict, Window
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class PairedRows:
    """Gumbel sharing; slots 2i and 2i + 1 use the noise of the former's position."""

    needs_previous: bool = False
    needs_race: bool = True

    def draft(self, sweep: Sweep) -> Draft:
        """Run the race with the pair's noise."""
        assert sweep.race is not None
        pair = torch.arange(sweep.race.shape[1], device=sweep.race.device) // 2 * 2
        return Draft((sweep.target_probs / sweep.race[:, pair]).argmax(-1), sweep.target_probs)


class Plain(PlainDecoder):
    """The same, one slot."""

    def _redraft(self, window: Window, i: int, verdict: Verdict, draws: Any) -> Slot:
        target = window.targets[i]
        return Slot(draws.race((Purpose.RACE, window.base + i // 2 * 2)).winner(target), target, target)


FAULT = Fault(
    name="shared-gumbel-row",
    condition=Condition.INDEPENDENCE,
    summary="one vector of Gumbel noise serves two neighbouring positions",
    source="one slip away: noise of shape [B, 1, V] broadcast over positions",
    drafting=PairedRows(),
    plain=Plain,
    window=4,
)
