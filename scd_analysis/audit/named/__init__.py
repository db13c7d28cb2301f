"""Faults that are known by name, and what their tokens would look like where the draft model is known."""

from scd_analysis.audit.named.draft import DraftModel
from scd_analysis.audit.named.fault import DRAFT, NAMED_SHARE, NamedBets, NamedFault, draft_probs, strongest, with_named
from scd_analysis.audit.named.faults import NAMED

__all__ = [
    "DRAFT",
    "NAMED",
    "NAMED_SHARE",
    "DraftModel",
    "NamedBets",
    "NamedFault",
    "draft_probs",
    "strongest",
    "with_named",
]
