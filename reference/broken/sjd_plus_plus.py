"""SJD++: behind the first rejection, a draft that is still likely is kept."""

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
class KeepLikely:
    """Keep the draft where ``p(x) > tau q(x)``, else draw from p; declare p.

    Attributes
    ----------
    tau : float
        Threshold of the ratio.
    """

    tau: float = 0.5
    needs_previous: bool = False
    needs_race: bool = False

    def draft(self, sweep: Sweep) -> Draft:
        """The kept token's law is not p."""
        index = sweep.draft_token[..., None]
        kept = sweep.target_probs.gather(-1, index) > self.tau * sweep.draft_probs.gather(-1, index)
        fresh = inverse_cdf(sweep.target_probs, sweep.uniform)
        return Draft(where(kept[..., 0], sweep.draft_token, fresh), sweep.target_probs)


class Plain(PlainDecoder):
    """The same, one slot."""

    def _redraft(self, window: Window, i: int, verdict: Verdict, draws: Any) -> Slot:
        rule, slot, target = self.method.drafting, window.slots[i], window.targets[i]
        assert isinstance(rule, KeepLikely)
        kept = target[slot.token] > rule.tau * slot.law[slot.token]
        token = slot.token if kept else draws.categorical(window.key(Purpose.DRAFT, i), target)
        return Slot(token, target, target)


FAULT = Fault(
    name="sjd-plus-plus",
    condition=Condition.DECLARED_LAW,
    summary="drafts behind the first rejection are kept when p/q exceeds a threshold, and declared as drawn from p",
    source="SJD++ (arXiv:2512.07503), known to us by two independent renderings; its claim: no observable degradation",
    drafting=KeepLikely(),
    plain=Plain,
    rival=True,
)
