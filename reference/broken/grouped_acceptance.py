"""GSD: a draft is accepted if tokens of about its rank are likely enough together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference.broken.fault import Fault
from reference.verification import PositionRule
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class GroupedAcceptance(PositionRule):
    """Acceptance ``min(1, P(C_x) / Q(C_x))``, C_x the tokens within ``reach`` ranks of x in p and ``delta`` of p(x).

    Attributes
    ----------
    reach : int
        Ranks to each side.
    delta : float
        Tokens whose probability differs by so much or more are left out.
    """

    reach: int = 7
    delta: float = 0.15

    def acceptance(self, target_probs: Tensor, draft_probs: Tensor) -> Tensor:
        """See :class:`reference.verification.PositionRule`."""
        order = target_probs.sort(dim=-1, descending=True, stable=True).indices
        p, q = target_probs.gather(-1, order), draft_probs.gather(-1, order)
        size, together = p.shape[-1], [torch.zeros_like(p), torch.zeros_like(p)]
        rank = torch.arange(size, device=p.device)
        for away in range(-self.reach, self.reach + 1):
            other = (rank + away).clamp(0, size - 1)
            near = (rank + away == other) & ((p[..., other] - p).abs() < self.delta)
            together = [total + law[..., other] * near for total, law in zip(together, (p, q), strict=True)]
        accept = super().acceptance(*together)
        return torch.zeros_like(accept).scatter(-1, order, accept)


FAULT = Fault(
    name="grouped-acceptance",
    condition=Condition.VERIFICATION,
    summary="a draft is accepted by the ratio of the probabilities of a group of tokens around it",
    source="after GSD (arXiv:2508.07747; note and code): token-wise residual, no embedding filter; lossy by design",
    verification=GroupedAcceptance(),
    rival=True,
)
