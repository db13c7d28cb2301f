"""A verdict without statistics: the exact law of a sampler against its target law."""

from __future__ import annotations

import sys
from typing import Any, Unpack

from scd_analysis.audit.verdict import Finding, Outcome, Verdict
from scd_analysis.exact.engine import Options, exact_law
from scd_analysis.exact.law import Comparison, ExactLaw
from scd_analysis.exact.target import law_of
from scd_analysis.version import __version__

SAME_LAW = 1e-9
"""Total variation up to which two exact laws are the same: rounding in float64 stays far below."""

WORST = 5
"""Outcomes that a verdict lists."""


def exact_verdict(sampler: Any, model: Any, **options: Unpack[Options]) -> Verdict:
    """Judge a sampler by enumeration: every branch of its random choices is run.

    Parameters
    ----------
    sampler : callable or Loop
        As for `exact_law`; what it returns has the shape of the model's outcomes, a tuple of N tokens.
    model : TargetModel, ExactLaw or mapping
        Whose law the sampler should have.
    **options
        ``arithmetic``, ``mass_floor``, ``max_branches``, ``max_seconds``, ``workers`` and ``progress``, as for
        `exact_law`.

    Returns
    -------
    Verdict
        ``EXACT`` where the two laws are within 1e-9 in total variation, ``REFUTED`` where they are further apart, and
        ``INCONCLUSIVE`` where branches that were left out decide. Nothing is drawn, so ``alpha`` is zero;
        ``resolution`` is the upper bound of the total variation.

    Raises
    ------
    CannotEnumerate
        If the sampler does something that cannot be followed; audit its samples then.
    """
    target = law_of(model, options.get("arithmetic", "float64"))
    return verdict_of(exact_law(sampler, **options), target)


def verdict_of(law: ExactLaw, target: ExactLaw) -> Verdict:
    """The verdict on an exact law."""
    low, high = (float(bound) for bound in law.total_variation_bounds(target))
    outcome = Outcome.REFUTED if low > SAME_LAW else Outcome.EXACT if high <= SAME_LAW else Outcome.INCONCLUSIVE
    refuted = outcome is Outcome.REFUTED
    log_e_value = float("inf") if refuted else 0.0
    worst = [row for row in law.comparison(target, WORST) if abs(float(row.difference)) > SAME_LAW] if refuted else []
    left = float(law.unexplored_mass) + law.slack
    missing = (f"branches of probability {left:.3g} were left out",) if outcome is Outcome.INCONCLUSIVE else ()
    return Verdict(
        outcome=outcome,
        log_e_value=log_e_value,
        alpha=0.0,
        num_sequences=0,
        num_tokens=0,
        resolution=high,
        findings=tuple(Finding("outcome", _said(row), log_e_value, True) for row in worst),
        record={
            "grade": "exact",
            "branches": law.branches,
            "outcomes": len(law),
            "total_variation": [low, high],
            "unexplored_mass": float(law.unexplored_mass),
            "arithmetic": "rational" if law.rational else "float64",
            "notes": list(law.notes),
            "versions": {"scd-analysis": __version__, "python": sys.version.split()[0]},
        },
        missing=missing,
    )


def _said(row: Comparison) -> str:
    return f"{row.outcome} has probability {float(row.probability):.9g}, in the target law {float(row.other):.9g}"
