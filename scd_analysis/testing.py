"""Assertions for anybody's test suite: ``from scd_analysis.testing import assert_exact, assert_lossless``."""

from __future__ import annotations

from typing import Any

from scd_analysis.audit import Outcome, Verdict, audit
from scd_analysis.exact import assert_exact

__all__ = ["assert_exact", "assert_lossless"]


def assert_lossless(subject: Any, model: Any, *, alpha: float = 1e-6, max_sequences: int, seed: int = 0) -> Verdict:
    """Fail if an audit refutes a decoder; the false-fail rate is ``alpha``.

    Parameters
    ----------
    subject : callable
        ``(model, num_sequences, seed) -> Long[num_sequences, N]``.
    model : TargetModel
        Whose law it should sample.
    alpha : float
        Probability at most of failing although the decoder is lossless (Ville's inequality).
    max_sequences : int
        How much to draw; the verdict's ``resolution`` says what that could have seen.
    seed : int
        Of the audit and of the subject's seeds.

    Returns
    -------
    Verdict
        Not refuted, or inconclusive.

    Raises
    ------
    AssertionError
        If the subject is refuted, with the verdict as its message.
    """
    verdict = audit(subject, model, alpha=alpha, max_sequences=max_sequences, seed=seed)
    if verdict.outcome is Outcome.REFUTED:
        raise AssertionError(str(verdict))
    return verdict
