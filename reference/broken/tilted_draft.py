"""Verification prediction without telling: drafts from a tilt of the law, declared as the law."""

from __future__ import annotations

from reference.broken.fault import Fault
from reference.methods.sjd_vp import VerificationPrediction
from scd_analysis.conditions import Condition

FAULT = Fault(
    name="tilted-draft",
    condition=Condition.DECLARED_LAW,
    summary="drafts favour tokens whose probability rose, and are declared as drawn from the law before the tilt",
    source="the uncorrected member of the SJD-VP family (arXiv:2603.27115, abstract only), not a claim about its code",
    drafting=VerificationPrediction(tracked=False),
)
