"""The table of Gumbel noise stays where it is when the window moves."""

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
class NoiseBySlot:
    """Gumbel sharing; slot s uses the noise that lies at place s of the table, whichever position that was made for."""

    needs_previous: bool = False
    needs_race: bool = True

    def draft(self, sweep: Sweep) -> Draft:
        """Undo the rotation that would bring each position its own noise."""
        assert sweep.race is not None
        slots = torch.arange(sweep.race.shape[1], device=sweep.race.device)
        place = (slots - sweep.position[:, :1]) % len(slots)
        noise = sweep.race.gather(1, place[..., None].expand_as(sweep.race))
        return Draft((sweep.target_probs / noise).argmax(-1), sweep.target_probs)


class Plain(PlainDecoder):
    """The same, one slot."""

    def _redraft(self, window: Window, i: int, verdict: Verdict, draws: Any) -> Slot:
        target, size = window.targets[i], min(self.window, self.num_tokens)
        position = min(window.base + (i - window.base) % size, self.num_tokens - 1)
        return Slot(draws.race((Purpose.RACE, position)).winner(target), target, target)


FAULT = Fault(
    name="unshifted-noise",
    condition=Condition.INDEPENDENCE,
    summary="the table of Gumbel noise is not moved with the window, so that positions take over each other's noise",
    source="one slip away",
    drafting=NoiseBySlot(),
    plain=Plain,
)
