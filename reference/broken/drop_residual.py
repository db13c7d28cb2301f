"""A rejection commits nothing: its residual draw is thrown away, unless it is the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reference.broken.fault import Fault
from reference.draws import Purpose
from reference.plain import PlainDecoder, PlainState, Slot, Window
from reference.verification import MRS, Check, ModifiedRejection, Verification, verify
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class AcceptedOnly(ModifiedRejection):
    """MRS; commit the accepted drafts, and a residual draw only where otherwise nothing would be committed."""

    def verify(self, check: Check) -> Verification:
        """Stop before the first rejection."""
        accepted, tokens, uniform, *_ = verify(*check[:5])
        leading = (accepted & check.in_window).long().cumprod(1).sum(1)
        whole = leading == check.in_window.sum(1)
        return Verification(accepted, tokens, uniform, limit=leading.clamp(min=1) + whole)


class Plain(PlainDecoder):
    """The same, one sequence."""

    def _pass(self, state: PlainState, slots: list[Slot], draws: Any) -> PlainState:
        """Give back the residual and redraft its position."""
        base, count = len(state.committed), 0
        drafts = tuple(slot.token for slot in slots)
        targets = [self._law((*state.committed, *drafts[:i]), draws) for i in range(len(slots))]
        window, committed = Window(slots, targets, base, state.iteration), list(state.committed)
        for i, verdict in enumerate(self._verdicts(window, draws)):
            token, accepted = verdict()
            if accepted or i == 0:
                committed.append(token)
                count += 1
            if not accepted:
                break
        else:
            if len(committed) < self.num_tokens:
                law = self._law((*state.committed, *drafts), draws)
                committed.append(draws.categorical(window.key(Purpose.BONUS, len(slots)), law))
        rest = tuple(self._fresh(window, i, draws) for i in range(count, len(slots)))
        return PlainState(tuple(committed), rest, state.iteration + 1)

    def _verify(self, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        return self._verify_by(MRS, window, i, draws)

    def _fresh(self, window: Window, i: int, draws: Any) -> Slot:
        target = window.targets[i]
        return Slot(draws.categorical(window.key(Purpose.DRAFT, i), target), target, target)


FAULT = Fault(
    name="drop-residual",
    condition=Condition.SELECTION,
    summary="only accepted drafts are committed; a rejected position is drafted again, so its own rejection delays it",
    source="one slip away: commit what was accepted, forget the residual",
    verification=AcceptedOnly(),
    plain=Plain,
)
