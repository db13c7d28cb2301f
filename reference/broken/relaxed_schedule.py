"""COOL-SD: acceptance is relaxed by a factor that falls along the window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reference.broken.fault import Fault
from reference.draws import Purpose, inverse_cdf
from reference.plain import PlainDecoder, Window
from reference.plain_forms import floats, tensor
from reference.verification import Check, ModifiedRejection, Verification
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class RelaxedSchedule(ModifiedRejection):
    """Acceptance ``f = min(1, w_i p/q)``, ``w_i = scale exp(-decay i)``; residual ``(p - q f)+``.

    With every w_i at most one this is lossless, since then ``q f <= p``; it is the factors above one that are not.

    Attributes
    ----------
    scale, decay : float
        Of the factors, i counted from the first slot.
    """

    scale: float = 1.5
    decay: float = 0.1

    def parts(self, target_probs: Tensor, draft_probs: Tensor, slot: Tensor) -> tuple[Tensor, Tensor]:
        """Acceptance and weights of the replacement, Float[..., V] each; ``slot`` broadcasts over the laws."""
        factor = self.scale * torch.exp(-self.decay * slot.to(target_probs.dtype))
        ratio = factor * target_probs / torch.where(draft_probs > 0, draft_probs, 1)
        accept = torch.where(draft_probs > 0, ratio.clamp(max=1), 1)
        excess = (target_probs - draft_probs * accept).clamp(min=0)
        return accept, torch.where(excess.sum(-1, keepdim=True) > 0, excess, target_probs)

    def verify(self, check: Check) -> Verification:
        """Relax by slot."""
        slot = torch.arange(check.draft_token.shape[1], device=check.draft_token.device)[:, None]
        accept, weights = self.parts(check.target_probs, check.draft_probs, slot)
        accepted = check.uniform < accept.gather(-1, check.draft_token[..., None])[..., 0].double()
        other = inverse_cdf(weights, check.residual_uniform)
        return Verification(accepted, torch.where(accepted, check.draft_token, other), check.uniform)


class Plain(PlainDecoder):
    """The same, one slot."""

    def _verify(self, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        rule, slot = self.method.verification, window.slots[i]
        assert isinstance(rule, RelaxedSchedule)
        accept, weights = rule.parts(tensor(window.targets[i]), tensor(slot.law), torch.tensor(i))
        if draws.uniform(window.key(Purpose.VERIFY, i)) < float(accept[slot.token]):
            return slot.token, True
        return draws.categorical(window.key("residual", i), floats(weights)), False


FAULT = Fault(
    name="relaxed-schedule",
    condition=Condition.VERIFICATION,
    summary="drafts early in the window are accepted with a probability above min(1, p/q)",
    source="after COOL-SD (arXiv:2601.09212, note); its claim: a bounded total variation",
    verification=RelaxedSchedule(),
    plain=Plain,
    rival=True,
)
