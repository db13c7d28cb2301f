"""SJD-PAC's adaptive continuation: verification that goes on after the first rejection."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from reference.drafting import Draft, Maximal, Sweep
from reference.methods.method import Method, Named
from reference.plain_forms import Law, OneRedraft, specifies


@dataclass(frozen=True)
class AdaptiveContinuation(Maximal):
    """Verify later drafts too, each against its own new law: accepted ones stay drafts, rejected ones are replaced.

    The replacement is the residual draw of the same test, and q := p for both. This is the recursion of SCD-MC, which
    names the output of the test over the whole window where this names its two cases: hence a :class:`Maximal`, exact
    for the same reason, and with the same noise the same tokens.

    Notes
    -----
    SJD-PAC is known to us by a note on it that gives this update, not by the paper's text; only its adaptive
    continuation is here, not the rest of the method, so the paper's gains are not claimed of it.

    References
    ----------
    SJD-PAC: arXiv:2603.18599, adaptive continuation.
    """

    def draft(self, sweep: Sweep) -> Draft:
        """Keep what was accepted, replace what was not; the kernel commits up to the first rejection by itself."""
        return Draft(torch.where(sweep.accepted, sweep.draft_token, sweep.verified), sweep.target_probs)

    @specifies("draft")
    def draft_one(self, slot: OneRedraft) -> tuple[int, Law]:
        """Keep or replace, one slot."""
        token, accepted = slot.verified()
        return slot.draft if accepted else token, slot.target


NAMED = Named(Method("sjd-pac", AdaptiveContinuation()), place=5)
