"""Every window is verified twice, and the longer result is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, where

from reference.broken.fault import Fault
from reference.draws import Purpose
from reference.plain import PlainDecoder, Verdict, Window
from reference.verification import Check, ModifiedRejection, Verification, verify
from scd_analysis.conditions import Condition


def _halves(uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Two variates of 26 and 27 bits out of one of 53."""
    scaled = uniform * 2.0**26
    return scaled.floor() * 2.0**-26, scaled.frac()


@dataclass(frozen=True)
class KeepLongest(ModifiedRejection):
    """MRS twice with variates of their own; each is right alone, the longer of the two is not."""

    def verify(self, check: Check) -> Verification:
        """Compare how far they come."""
        uniforms, residuals = _halves(check.uniform), _halves(check.residual_uniform)
        one, two = (verify(*check[:3], u, r) for u, r in zip(uniforms, residuals, strict=True))
        length = [(v.accepted & check.in_window).long().cumprod(1).sum(1) for v in (one, two)]
        first = (length[0] >= length[1])[:, None]
        accepted, tokens, uniform = (where(first, a, b) for a, b in zip(one[:3], two[:3], strict=True))
        return Verification(accepted, tokens, uniform)


class Plain(PlainDecoder):
    """The same, one sequence."""

    def _verdicts(self, window: Window, draws: Any) -> Sequence[Verdict]:
        branches = [[self._accepts(window, i, name, draws) for i in range(len(window.slots))] for name in "ab"]
        length = [next((i for i, kept in enumerate(b) if not kept), len(b)) for b in branches]
        kept = branches[0] if length[0] >= length[1] else branches[1]
        return [self._verdict(window, i, kept[i], draws) for i in range(len(kept))]

    def _accepts(self, window: Window, i: int, branch: str, draws: Any) -> bool:
        slot = window.slots[i]
        uniform = draws.uniform(window.key((Purpose.VERIFY, branch), i))
        return bool(uniform * slot.law[slot.token] < window.targets[i][slot.token])

    def _verdict(self, window: Window, i: int, accepted: bool, draws: Any) -> Verdict:
        if accepted:
            return lambda: (window.slots[i].token, True)
        return lambda: (draws.residual(window.key("residual", i), window.targets[i], window.slots[i].law), False)


FAULT = Fault(
    name="longest-of-two",
    condition=Condition.SELECTION,
    summary="of two verifications of a window the one that commits more is kept",
    source="as in trees that keep the longest branch (PathExplore, arXiv:2606.10492; its claim: quality is kept)",
    verification=KeepLongest(),
    plain=Plain,
    rival=True,
    same_noise=False,
)
