"""The audit: whether a subject samples from its target model, with stated error rates."""

from __future__ import annotations

from scd_analysis.audit.run import audit
from scd_analysis.audit.verdict import Finding, Outcome, Verdict

__all__ = ["Finding", "Outcome", "Verdict", "audit"]
