"""Drafts that were accepted but look unlikely are not committed yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reference.broken.drop_residual import Plain as DropResidual
from reference.broken.fault import Fault
from reference.draws import Purpose
from reference.plain import PlainState, Slot, Window
from reference.verification import Check, ModifiedRejection, Verification, verify
from scd_analysis.conditions import Condition

LEAST = 0.2
"""Probability below which an accepted draft waits for another pass."""


@dataclass(frozen=True)
class ConfidentOnly(ModifiedRejection):
    """MRS; stop before the first accepted draft, but for the window's first, whose target probability is low."""

    def verify(self, check: Check) -> Verification:
        """Limit what is committed by the drafts themselves."""
        accepted, tokens, uniform, *_ = verify(*check[:5])
        likely = check.target_probs.gather(-1, check.draft_token[..., None])[..., 0] >= LEAST
        likely = likely | ~accepted | ~check.in_window
        likely[:, 0] = True
        room = likely.long().cumprod(1).sum(1)
        return Verification(accepted, tokens, uniform, limit=room + (room == likely.shape[1]))


class Plain(DropResidual):
    """The same, one sequence."""

    def _pass(self, state: PlainState, slots: list[Slot], draws: Any) -> PlainState:
        """Stop early and redraft."""
        base = len(state.committed)
        drafts = tuple(slot.token for slot in slots)
        targets = [self._law((*state.committed, *drafts[:i]), draws) for i in range(len(slots))]
        window, committed = Window(slots, targets, base, state.iteration), list(state.committed)
        for i, verdict in enumerate(self._verdicts(window, draws)):
            token, accepted = verdict()
            if accepted and i > 0 and targets[i][drafts[i]] < LEAST:
                break
            committed.append(token)
            if not accepted:
                break
        else:
            if len(committed) < self.num_tokens:
                law = self._law((*state.committed, *drafts), draws)
                committed.append(draws.categorical(window.key(Purpose.BONUS, len(slots)), law))
        rest = tuple(self._fresh(window, i, draws) for i in range(len(committed) - base, len(slots)))
        return PlainState(tuple(committed), rest, state.iteration + 1)


FAULT = Fault(
    name="confident-only",
    condition=Condition.SELECTION,
    summary="an accepted draft is committed only if its probability is high; otherwise it is drafted again",
    source="one slip away: confidence thresholds of parallel decoders",
    verification=ConfidentOnly(),
    plain=Plain,
)
