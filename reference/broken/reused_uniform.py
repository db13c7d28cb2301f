"""A position keeps its acceptance variate for life."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from torch import expm1

from reference.broken.fault import Fault
from reference.drafting import Maximal
from reference.draws import Purpose
from reference.plain import PlainDecoder, PlainState, Window
from reference.verification import Check, ModifiedRejection, Verification, verify
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class OneVariateForLife(ModifiedRejection):
    """Maximal coupling with the same variate at every pass: what it let through before says what it is now."""

    needs_race: bool = True

    def verify(self, check: Check) -> Verification:
        """Make a variate that does not change from the position's own exponentials."""
        assert check.race is not None
        uniform = -expm1(-check.race[..., 0].double())
        return verify(*check[:3], uniform, check.residual_uniform)


class Plain(PlainDecoder):
    """The same, one slot."""

    def live(self, state: PlainState) -> list[Hashable]:
        """The variates of the positions that are left."""
        return [(Purpose.VERIFY, j, 0) for j in range(len(state.committed), self.num_tokens)]

    def _verify(self, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        slot, target = window.slots[i], window.targets[i]
        uniform = draws.uniform((Purpose.VERIFY, window.base + i, 0))
        if uniform * slot.law[slot.token] < target[slot.token]:
            return slot.token, True
        return draws.residual(window.key("residual", i), target, slot.law), False


FAULT = Fault(
    name="reused-uniform",
    condition=Condition.VERIFICATION,
    summary="the acceptance variate of a position is the same at every pass, so it is not independent of the draft",
    source="one slip away: a generator keyed by position and not by pass",
    drafting=Maximal(),
    verification=OneVariateForLife(),
    plain=Plain,
    same_noise=False,
)
