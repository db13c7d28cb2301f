"""SJD-VP with the target law declared instead of the tilted one: not exact."""

from __future__ import annotations

from reference.methods.method import Method, Named
from reference.methods.sjd_vp import VerificationPrediction

NAMED = Named(Method("sjd-vp-uncorrected", VerificationPrediction(tracked=False), lossless=False), place=7)
