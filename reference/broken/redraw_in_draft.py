"""A coupling made by hand: a rejected draft is redrawn from p, and p is declared for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import where

from reference.broken.fault import Fault
from reference.drafting import Draft, Sweep
from reference.draws import Purpose, inverse_cdf
from reference.plain import PlainDecoder, Slot, Verdict, Window
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class RedrawFromTarget:
    """Keep an accepted draft; else draw from p. The next draft then has the law min(p, q) + TV p."""

    needs_previous: bool = False
    needs_race: bool = False

    def draft(self, sweep: Sweep) -> Draft:
        """Declare p all the same."""
        fresh = inverse_cdf(sweep.target_probs, sweep.uniform)
        return Draft(where(sweep.accepted, sweep.draft_token, fresh), sweep.target_probs)


class Plain(PlainDecoder):
    """The same, one slot."""

    def _redraft(self, window: Window, i: int, verdict: Verdict, draws: Any) -> Slot:
        slot, target = window.slots[i], window.targets[i]
        kept = verdict()[1]
        token = slot.token if kept else draws.categorical(window.key(Purpose.DRAFT, i), target)
        return Slot(token, target, target)


FAULT = Fault(
    name="redraw-in-draft",
    condition=Condition.DECLARED_LAW,
    summary="the next draft is the old one if it would be accepted, else a draw from p: a coupling of other laws",
    source="one slip away from maximal coupling",
    drafting=RedrawFromTarget(),
    plain=Plain,
)
