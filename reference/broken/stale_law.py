"""A draft that survives keeps the law it was first declared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import where

from reference.broken.fault import Fault
from reference.drafting import Draft, Sweep
from reference.plain import PlainDecoder, Slot, Verdict, Window
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class StaleLaw:
    """Maximal coupling; an accepted draft keeps its old law instead of p^t."""

    needs_previous: bool = False
    needs_race: bool = False

    def draft(self, sweep: Sweep) -> Draft:
        """Keep what verification said, and declare the wrong law for what it accepted."""
        return Draft(sweep.verified, where(sweep.accepted[..., None], sweep.draft_probs, sweep.target_probs))


class Plain(PlainDecoder):
    """The same, one slot."""

    def _redraft(self, window: Window, i: int, verdict: Verdict, draws: Any) -> Slot:
        token, accepted = verdict()
        return Slot(token, window.slots[i].law if accepted else window.targets[i], window.targets[i])


FAULT = Fault(
    name="stale-law",
    condition=Condition.DECLARED_LAW,
    summary="a draft that survives keeps its old law although it now has the new one",
    source="seen in released samplers",
    drafting=StaleLaw(),
    plain=Plain,
)
