"""SJD-SV: a run of drafts with rising probability is accepted as a block, by one variate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from reference.broken.fault import Fault
from reference.draws import Purpose, inverse_cdf
from reference.plain import PlainDecoder, Verdict, Window
from reference.verification import Check, ModifiedRejection, Verification, residual
from scd_analysis.conditions import Condition


@dataclass(frozen=True)
class BlockTest(ModifiedRejection):
    """Accept the longest start of a run of nondecreasing p(x) whose product of ratios exceeds the run's variate.

    A block needs a residual of its own; here a run that fails at once gets that of its first token.
    """

    def verify(self, check: Check) -> Verification:
        """Walk over the window, run by run."""
        index = check.draft_token[..., None]
        target = check.target_probs.gather(-1, index)[..., 0].double()
        ratio = target / check.draft_probs.gather(-1, index)[..., 0].double()
        falls = torch.ones_like(check.in_window)  # a run starts here
        falls[:, 1:] = (target[:, 1:] < target[:, :-1]) | ~check.in_window[:, 1:]
        accepted = torch.zeros_like(check.in_window)
        start = torch.zeros_like(check.draft_token[:, 0])
        for s in range(ratio.shape[1]):
            inside = falls[:, s + 1 :].long().cumsum(1) == 0
            inside = torch.cat([torch.ones_like(falls[:, :1]), inside], dim=1)
            passed = inside & (check.uniform[:, s : s + 1] < ratio[:, s:].cumprod(1).clamp(max=1))
            number = torch.arange(1, passed.shape[1] + 1, device=start.device)
            length = (passed * number).amax(1)
            here = start == s
            accepted[:, s:] |= here[:, None] & (number <= length[:, None])
            start = torch.where(here, s + length.clamp(min=1), start)
        other = inverse_cdf(residual(check.target_probs, check.draft_probs), check.residual_uniform)
        return Verification(accepted, torch.where(accepted, check.draft_token, other), check.uniform)


class Plain(PlainDecoder):
    """The same, one sequence."""

    def _verdicts(self, window: Window, draws: Any) -> Sequence[Verdict]:
        tokens = [slot.token for slot in window.slots]
        target = [law[x] for law, x in zip(window.targets, tokens, strict=True)]
        ratio = [p / slot.law[slot.token] for p, slot in zip(target, window.slots, strict=True)]
        accepted: list[bool] = []
        while (s := len(accepted)) < len(tokens):
            products = [ratio[s]]
            while s + len(products) < len(tokens) and target[s + len(products)] >= target[s + len(products) - 1]:
                products.append(products[-1] * ratio[s + len(products)])
            uniform = draws.uniform(window.key(Purpose.VERIFY, s))
            length = next((m for m in range(len(products), 0, -1) if uniform < min(1.0, products[m - 1])), 0)
            accepted += [True] * length or [False]
            if not length:
                break
        accepted += [False] * (len(tokens) - len(accepted))
        return [self._verdict(window, i, accepted[i], draws) for i in range(len(tokens))]

    def _verdict(self, window: Window, i: int, accepted: bool, draws: Any) -> Verdict:
        if accepted:
            return lambda: (window.slots[i].token, True)
        return lambda: (draws.residual(window.key("residual", i), window.targets[i], window.slots[i].law), False)


FAULT = Fault(
    name="suffix-test",
    condition=Condition.SELECTION,
    summary="a run of drafts is accepted together by one variate, so whether the first is kept depends on the last",
    source="after SJD-SV (arXiv:2609.13245), known to us by one note: our rendering, not the authors' formula",
    verification=BlockTest(),
    plain=Plain,
    rival=True,
)
