"""LANTERN: the neighbours of a draft in the codebook count toward its acceptance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule, residual
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class NeighbourRelaxation(PositionRule):
    """Acceptance ``min(1, (p(x) + S) / q(x))``, S the probability of the nearest codes, at most ``delta``.

    Codes are taken as sorted by likeness, so the nearest are the next in number. After a rejection they are struck out
    of p before the residual is taken.

    Attributes
    ----------
    reach : int
        Neighbours to each side.
    delta : float
        Bound on S, and so on the total variation.
    """

    reach: int = 1
    delta: float = 0.1

    def acceptance(self, target_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        near = torch.zeros_like(target_probs)
        for away in range(1, self.reach + 1):
            near[..., away:] += target_probs[..., :-away]
            near[..., :-away] += target_probs[..., away:]
        return super().acceptance(target_probs + near.clamp(max=self.delta), draft_probs)

    def replacement(self, target_probs: Tensor, draft_probs: Tensor, draft_token: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        away = (torch.arange(target_probs.shape[-1], device=target_probs.device) - draft_token[..., None]).abs()
        left = target_probs.masked_fill((away > 0) & (away <= self.reach), 0.0)
        excess = residual(left, draft_probs)
        return torch.where(excess.sum(-1, keepdim=True) > 0, excess, target_probs)


FAULT = Fault(
    name="neighbour-relaxation",
    condition=Condition.VERIFICATION,
    summary="the probability of similar tokens counts toward a draft's acceptance",
    source="after LANTERN (arXiv:2410.03355), neighbours by number instead of codebook distance; TV bounded by design",
    verification=NeighbourRelaxation(),
    rival=True,
)
