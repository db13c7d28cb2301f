"""The Gumbel noise that drafted a token also draws its replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import where

from reference.broken.fault import Fault
from reference.drafting import Gumbel
from reference.draws import Purpose
from reference.plain import PlainDecoder, Window
from reference.plain_forms import floats, tensor
from reference.verification import Check, ModifiedRejection, Verification, residual, verify
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class ResidualByRace(ModifiedRejection):
    """MRS whose residual is a race with the position's own noise, which the draft has already used."""

    needs_race: bool = True

    def verify(self, check: Check) -> Verification:
        """Reuse the noise."""
        assert check.race is not None
        accepted, tokens, uniform, *_ = verify(*check[:5])
        winner = (residual(check.target_probs, check.draft_probs) / check.race).argmax(-1)
        return Verification(accepted, where(accepted, tokens, winner), uniform)


class Plain(PlainDecoder):
    """The same, one slot."""

    def _verify(self, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        slot, target = window.slots[i], window.targets[i]
        if draws.uniform(window.key(Purpose.VERIFY, i)) * slot.law[slot.token] < target[slot.token]:
            return slot.token, True
        weights = floats(residual(tensor(target), tensor(slot.law)))
        return draws.race((Purpose.RACE, window.base + i)).winner(weights), False


FAULT = Fault(
    name="gumbel-residual",
    condition=Condition.INDEPENDENCE,
    summary="the residual is drawn with the Gumbel noise that drafted the rejected token",
    source="one slip away: one noise tensor for everything",
    drafting=Gumbel(),
    verification=ResidualByRace(),
    plain=Plain,
)
